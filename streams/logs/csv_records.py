"""Lines become CSV records: without quotes all at once, with quotes one by one, and a stray quote costs its own line.

A quoted field may hold line breaks, so a quote that nobody meant as one could swallow everything up to the next. It is
taken for stray where the field it opens does not end properly within a few MB, or where lines lie inside
it that are rows of their own. Then only the line with the quote is rejected and reading goes on with the next. A quote
within an unquoted field (12" vinyl) is text.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from streams.logs.blocks import NO_LINES, Block
from streams.logs.rejected import Rejected
from wire.arrays import I64, Bool

_A_TIME = re.compile(r"\s*(\d+(\.\d*)?([eE]\+?\d+)?|\d{4}[-/]\d\d?[-/]\d\d?.*|\d\d?[-/.]\d\d?[-/.]\d{4}.*)\s*")
# Where fields are separated otherwise, programs that never quote are usual: a quote that ends nothing is text there.
_QUOTING = ",;"
# A record with line breaks in it may be so long; one that is too long for an event is still recognised as one row.
_RECORD_BYTES = 4 << 20
csv.field_size_limit(2 * _RECORD_BYTES)
_ONE_BYTE = "\x1f"  # the unit separator, for `::`
_NOT_CLOSED = "a quote is opened and not closed"
_MISPLACED = "quotes in the wrong place"


@dataclass(frozen=True)
class Layout:
    """What a line of the file looks like: its separator, its number of fields and which of them is the time."""

    separator: str
    width: int
    time: int


@dataclass(frozen=True)
class Records:
    """Records in file order: line number, fields (columns "0", "1", …; null where empty) and raw text of each."""

    numbers: I64
    fields: pl.DataFrame
    raw: pl.Series
    rejected: tuple[Rejected, ...] = ()


Quoted = list[tuple[int, str, list[str]]]  # line number, raw text, fields


class RecordReader:
    """Takes a file's blocks one after the other; a record that a block leaves open goes on in the next."""

    def __init__(self, layout: Layout):
        self._layout = layout
        self._open = NO_LINES

    def read(self, block: Block, *, last: bool = False) -> Records:
        """The records that end in `block`; with `last`, nothing follows that could close a quote."""
        block = Block(
            np.concatenate([self._open.numbers, block.numbers]),
            pl.concat([self._open.texts, block.texts]),
            block.rejected,
        )
        quoted = block.texts.str.contains('"', literal=True).to_numpy()
        if not quoted.any() or len(self._layout.separator) > 1:
            self._open = NO_LINES
            return self._plain(block)
        plain, records, rejected, end = self._scan(block, quoted, last=last)
        self._open = Block(block.numbers[end:], block.texts[end:])
        found = self._plain(Block(block.numbers[plain], block.texts.filter(pl.Series(plain)), tuple(rejected)))
        return _merged(found, self._quoted(records))

    def _scan(self, block: Block, quoted: Bool, *, last: bool) -> tuple[Bool, Quoted, list[Rejected], int]:
        """Which lines are plain, the records with quotes, the lines with stray ones, and where a record stays open."""
        lines, numbers = block.texts.to_list(), block.numbers.tolist()
        records: Quoted = []
        plain, rejected, at = ~quoted, list(block.rejected), 0
        for start in np.flatnonzero(quoted).tolist():
            if start < at:
                continue  # inside the record before
            length, fields, why = self._record(lines, start)
            if why == _NOT_CLOSED and not last and start + length == len(lines):
                plain[start:] = False
                return plain, records, rejected, start
            if not why:
                at = start + length
                plain[start:at] = False
                records.append((numbers[start], "\n".join(lines[start:at]), fields))
            elif self._layout.separator in _QUOTING:
                rejected.append(Rejected.of(numbers[start], why, lines[start].encode()))
            else:
                plain[start] = True
        return plain, records, rejected, len(lines)

    def _record(self, lines: list[str], start: int) -> tuple[int, list[str], str]:
        """How many lines the record that starts there takes, its fields, and why it is none."""
        reader = csv.reader(_few_mb(lines, start), delimiter=self._layout.separator, strict=True)
        try:
            fields = next(reader)
        except csv.Error as error:
            return reader.line_num, [], _NOT_CLOSED if "unexpected end" in str(error) else _MISPLACED
        swallows = reader.line_num > 1 and self._swallows(lines[start : start + reader.line_num])
        return (1, [], _NOT_CLOSED) if swallows else (reader.line_num, fields, "")

    def _swallows(self, lines: list[str]) -> bool:
        rows = list(map(self._is_row, lines))
        return any(rows[1:-1]) or (rows[0] and rows[-1])

    def _is_row(self, line: str) -> bool:
        fields = line.split(self._layout.separator)
        return len(fields) == self._layout.width and bool(_A_TIME.fullmatch(fields[self._layout.time]))

    def _plain(self, block: Block) -> Records:
        separator, width = self._layout.separator, self._layout.width
        block = block[block.written]
        found = block.texts.str.count_matches(separator, literal=True).to_numpy().astype(np.int64) + 1
        good = found == width
        bad = zip(
            block.numbers[~good].tolist(), found[~good].tolist(), block.texts.filter(pl.Series(~good)), strict=True
        )
        rejected = (Rejected.of(number, self._width_reason(n), text.encode()) for number, n, text in bad)
        texts = block.texts.filter(pl.Series(good))
        return Records(block.numbers[good], _split(texts, separator, width), texts, (*block.rejected, *rejected))

    def _quoted(self, records: Quoted) -> Records:
        width = self._layout.width
        good = [record for record in records if len(record[2]) == width]
        columns = list(zip(*(fields for _, _, fields in good), strict=True)) or [()] * width
        return Records(
            np.array([number for number, _, _ in good], np.int64),
            pl.DataFrame([pl.Series(str(n), values, pl.String).replace("", None) for n, values in enumerate(columns)]),
            pl.Series("raw", [text for _, text, _ in good], pl.String),
            tuple(
                Rejected.of(number, self._width_reason(len(fields)), text.encode())
                for number, text, fields in records
                if len(fields) != width
            ),
        )

    def _width_reason(self, width: int) -> str:
        return f"{width} fields where the header has {self._layout.width}"


def _few_mb(lines: list[str], start: int) -> Iterator[str]:
    """Lines with their ends, until they are more than any record."""
    size = 0
    while start < len(lines) and size <= _RECORD_BYTES:
        yield f"{lines[start]}\n"
        size += len(lines[start]) + 1
        start += 1


def _split(texts: pl.Series, separator: str, width: int) -> pl.DataFrame:
    """The fields of lines that have `width` of them and no quotes that mean anything."""
    names = list(map(str, range(width)))
    if not len(texts):
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    if len(separator) > 1:
        texts = texts.str.replace_all(_ONE_BYTE, " ", literal=True)
        texts, separator = texts.str.replace_all(separator, _ONE_BYTE, literal=True), _ONE_BYTE
    # Polars takes what begins as a compressed file does for one, and a user may be called x^.
    raw = f"-\n{texts.str.join(chr(10))[0]}".encode()
    return pl.read_csv(
        io.BytesIO(raw),
        separator=separator,
        has_header=False,
        skip_rows=1,
        new_columns=names,
        infer_schema=False,
        quote_char=None,
    )


def _merged(plain: Records, quoted: Records) -> Records:
    numbers = np.concatenate([plain.numbers, quoted.numbers])
    order = np.argsort(numbers)
    return Records(
        numbers[order],
        pl.concat([plain.fields, quoted.fields])[order],
        pl.concat([plain.raw, quoted.raw])[order],
        (*plain.rejected, *quoted.rejected),
    )
