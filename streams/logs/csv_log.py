"""CSV event logs: vectorised where nothing is quoted, record by record where something is."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from streams.logs.blocks import Block, read_blocks
from streams.logs.columns import REQUIRED, Rejected, Rows, json_context, require_columns
from wire.arrays import I64
from wire.errors import InputError

# A quoted field may hold line breaks; one that is still open after so many lines is a stray quote (ours).
_RECORD_LINES = 100

Numbered = list[tuple[int, str]]


def read_csv(path: Path) -> Iterator[Rows]:
    """The rows of a comma-separated log with a header; raises `InputError` without one."""
    header: list[str] = []
    unclosed: Numbered = []  # lines of a record whose quotes are not closed yet
    for block in read_blocks(path):
        rows = block
        if not header:
            written = block[block.written]
            _require_text(written, path)
            if not len(written.texts):
                continue
            header = _header(written.texts[0], path)
            rows = block[block.numbers > written.numbers[0]]
        records, unclosed = _join_quoted(unclosed, rows, last=False)
        yield _rows(header, records)
    if not header:
        raise InputError(f"{path} is empty: an event log starts with the header {','.join(REQUIRED)}")
    if unclosed:
        yield _rows(header, _join_quoted(unclosed, _block([]), last=True)[0])


def _require_text(block: Block, path: Path) -> None:
    """Without a header nothing can be said about the rows: it must not be among the rejected lines."""
    if block.rejected and not (block.numbers[:1] < block.rejected[0].line).any():
        raise InputError(f"{path} does not begin with a header ({block.rejected[0].reason}): is it a CSV file?")


def _header(text: str, path: Path) -> list[str]:
    header = [name.strip() for name in next(csv.reader([text]))]
    require_columns(header, str(path))
    return header


def _join_quoted(unclosed: Numbered, block: Block, *, last: bool) -> tuple[Block, Numbered]:
    """The block with one text per record, and the lines at its end whose quotes are still open."""
    if not unclosed and not block.texts.str.contains('"', literal=True).any():
        return block, []
    lines = unclosed + list(zip(block.numbers.tolist(), block.texts.to_list(), strict=True))
    records: Numbered = []
    rejected = list(block.rejected)
    at = 0
    while at < len(lines):
        end = _end_of_record(lines, at)
        if end is not None:
            records.append((lines[at][0], "\n".join(text for _, text in lines[at:end])))
            at = end
        elif not last and len(lines) - at < _RECORD_LINES:
            break
        else:
            number, text = lines[at]
            rejected.append(Rejected(number, "a quote is opened and not closed", text.encode()))
            at += 1
    return _block(records, tuple(rejected)), lines[at:]


def _end_of_record(lines: Numbered, at: int) -> int | None:
    """The index after the record that starts at `at`: where its quotes are even; None when they never are."""
    quotes = 0
    for end in range(at, min(at + _RECORD_LINES, len(lines))):
        quotes += lines[end][1].count('"')
        if quotes % 2 == 0:
            return end + 1
    return None


def _block(lines: Numbered, rejected: tuple[Rejected, ...] = ()) -> Block:
    numbers = np.array([number for number, _ in lines], np.int64)
    return Block(numbers, pl.Series("raw", [text for _, text in lines], pl.String), rejected)


def _rows(header: list[str], block: Block) -> Rows:
    block = block[block.written]
    quoted = block.texts.str.contains('"', literal=True).any()
    width = (_quoted_width if quoted else _plain_width)(block.texts)
    good = width == len(header)
    bad = zip(block.numbers[~good].tolist(), width[~good].tolist(), block.texts.filter(pl.Series(~good)), strict=True)
    texts = block.texts.filter(pl.Series(good))
    table = (_parse_quoted if quoted else _parse_plain)(texts, header)
    return Rows(
        columns=table.select(REQUIRED),
        context=json_context(table.drop(REQUIRED)),
        raw=texts,
        line=block.numbers[good],
        rejected=(
            *block.rejected,
            *(Rejected(number, _width_reason(n, header), text.encode()) for number, n, text in bad),
        ),
    )


def _width_reason(width: int, header: list[str]) -> str:
    return f"{width} fields where the header has {len(header)}" if width else "quotes in the wrong place"


def _plain_width(texts: pl.Series) -> I64:
    return texts.str.count_matches(",", literal=True).to_numpy().astype(np.int64) + 1


def _quoted_width(texts: pl.Series) -> I64:
    return np.fromiter((len(_fields(text)) for text in texts), np.int64, len(texts))


def _fields(text: str) -> list[str]:
    """The fields of one record, none when its quotes make no sense."""
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error:
        return []


def _parse_plain(texts: pl.Series, header: list[str]) -> pl.DataFrame:
    if not len(texts):
        return pl.DataFrame(schema=dict.fromkeys(header, pl.String))
    raw = "\n".join(texts).encode()
    return pl.read_csv(
        io.BytesIO(raw), has_header=False, new_columns=header, infer_schema=False, quote_char=None, raise_if_empty=False
    )


def _parse_quoted(texts: pl.Series, header: list[str]) -> pl.DataFrame:
    columns = zip(*map(_fields, texts), strict=True) if len(texts) else [()] * len(header)
    return pl.DataFrame(
        [pl.Series(name, values, pl.String).replace("", None) for name, values in zip(header, columns, strict=True)]
    )
