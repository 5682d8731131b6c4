"""CSV event logs: a header, then a record per event."""

import csv
from collections.abc import Iterator
from pathlib import Path

from streams.logs.blocks import NO_LINES, Block, read_blocks
from streams.logs.columns import REQUIRED, Rows, json_context, require_columns
from streams.logs.csv_records import Layout, RecordReader, Records
from wire.errors import InputError


def read_csv(path: Path) -> Iterator[Rows]:
    """The rows of a comma-separated log with a header; raises `InputError` without one."""
    header: list[str] = []
    reader: RecordReader | None = None
    for block in read_blocks(path):
        rows = block
        if reader is None:
            written = block[block.written]
            _require_text(written, path)
            if not len(written.texts):
                continue
            header = _header(written.texts[0], path)
            reader = RecordReader(Layout(",", len(header), header.index("timestamp")))
            rows = block[block.numbers > written.numbers[0]]
        yield _rows(header, reader.read(rows))
    if reader is None:
        raise InputError(f"{path} is empty: an event log starts with the header {','.join(REQUIRED)}")
    yield _rows(header, reader.read(NO_LINES, last=True))


def _require_text(block: Block, path: Path) -> None:
    """Without a header nothing can be said about the rows: it must not be among the rejected lines."""
    if block.rejected and not (block.numbers[:1] < block.rejected[0].line).any():
        raise InputError(f"{path} does not begin with a header ({block.rejected[0].reason}): is it a CSV file?")


def _header(text: str, path: Path) -> list[str]:
    header = [name.strip() for name in next(csv.reader([text]))]
    require_columns(header, str(path))
    return header


def _rows(header: list[str], records: Records) -> Rows:
    table = records.fields.rename({str(at): name for at, name in enumerate(header)})
    return Rows(
        columns=table.select(REQUIRED),
        context=json_context(table.drop(REQUIRED)),
        raw=records.raw,
        line=records.numbers,
        rejected=records.rejected,
    )
