"""Text event logs: one record per line, fields separated by a comma, semicolon, tab, bar or `::`."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from streams.logs.blocks import NO_LINES, Block, read_blocks
from streams.logs.columns import Rows, json_context
from streams.logs.csv_records import Layout, RecordReader, Records
from streams.logs.mapping import Mapping, find_mapping, plain_name
from streams.logs.options import FIELDS, LogOptions
from wire.errors import InputError

_SEPARATORS = ("::", "\t", ";", "|", ",")
_SAMPLE_LINES = 100
_DECIMAL_COMMA = (r"^\s*([-+]?\d+),(\d+)\s*$", "$1.$2")
_EXCEL = re.compile(r"sep=(.)", re.IGNORECASE)  # Excel's own first line


@dataclass(frozen=True)
class _Header:
    """What a file's first lines say: its separator, its columns' names and how many lines come before the data."""

    separator: str
    names: list[str]
    lines: int


def read_csv(path: Path, options: LogOptions) -> Iterator[Rows]:
    """The rows of a text log; raises `InputError` where its columns cannot be told."""
    reader: RecordReader | None = None
    for block in read_blocks(path):
        rows = block
        if reader is None:
            written = block[block.written]
            _require_text(written, path)
            if not len(written.texts):
                continue
            header = _header(written.texts.head(_SAMPLE_LINES).to_list(), options, path)
            mapping = find_mapping(header.names, options, str(path))
            time = header.names.index(mapping.columns["timestamp"])
            reader = RecordReader(Layout(header.separator, len(header.names), time))
            before = written.numbers[header.lines - 1] if header.lines else 0
            rows = block[block.numbers > before]
        yield _rows(header, mapping, reader.read(rows))
    if reader is None:
        raise InputError(f"{path} is empty: an event log has at least one event")
    yield _rows(header, mapping, reader.read(NO_LINES, last=True))


def _require_text(block: Block, path: Path) -> None:
    """Without a header nothing can be said about the rows: it must not be among the rejected lines."""
    if block.rejected and not (block.numbers[:1] < block.rejected[0].line).any():
        raise InputError(f"{path} does not begin with a header ({block.rejected[0].reason}): is it a CSV file?")


def _header(lines: list[str], options: LogOptions, path: Path) -> _Header:
    declared = _EXCEL.fullmatch(lines[0].strip())
    if declared:
        del lines[0]
    if not lines:
        raise InputError(f"{path} has no rows: an event log has at least one event")
    separator = _asked_separator(options.separator) or (declared[1] if declared else _likely_separator(lines))
    fields = lines[0].split(separator) if len(separator) > 1 else next(csv.reader([lines[0]], delimiter=separator))
    names = list(map(plain_name, fields))
    numbered = any(name.isdecimal() and name not in names for name in options.columns().values())
    if numbered:
        return _Header(separator, [str(number) for number in range(1, len(names) + 1)], 1 if declared else 0)
    return _Header(separator, names, 2 if declared else 1)


def _asked_separator(asked: str) -> str:
    separator = "\t" if asked in ("tab", r"\t") else asked
    if not set(separator).isdisjoint('"\n\r'):
        raise InputError(f"--separator {asked!r} cannot separate fields: give a sign such as ; or tab")
    return separator


def _likely_separator(lines: list[str]) -> str:
    """The one that most lines have as often as the first, the more often the better; a comma when there is none."""
    agreeing = {sign: [line.count(sign) == lines[0].count(sign) for line in lines] for sign in _SEPARATORS}
    found = [sign for sign in _SEPARATORS if sign in lines[0]]
    return max(found, key=lambda sign: (sum(agreeing[sign]), lines[0].count(sign)), default=",")


def _rows(header: _Header, mapping: Mapping, records: Records) -> Rows:
    at = {name: str(number) for number, name in enumerate(header.names)}
    fields = (
        pl.col(at[mapping.columns[field]]) if field in mapping.columns else pl.lit(None, pl.String) for field in FIELDS
    )
    context = records.fields.select(pl.col(at[name]).alias(name) for name in header.names if name not in mapping.taken)
    columns = records.fields.select(field.alias(name) for name, field in zip(FIELDS, fields, strict=True))
    numbers = pl.col("label", "timestamp")
    if header.separator != "," and any(columns.select(numbers.str.contains(",", literal=True).any()).row(0)):
        columns = columns.with_columns(numbers.str.replace(*_DECIMAL_COMMA))
    return Rows(
        mapping=mapping,
        columns=columns,
        context=json_context(context, len(records.raw)),
        raw=records.raw,
        line=records.numbers,
        rejected=records.rejected,
    )
