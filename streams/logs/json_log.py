"""JSON Lines event logs: one object per line, its other fields pass through as context."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from streams.logs.blocks import Block, read_blocks
from streams.logs.columns import REQUIRED, Rejected, Rows, require_columns
from wire.errors import InputError

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def read_jsonl(path: Path) -> Iterator[Rows]:
    """The rows of the log; raises `InputError` when it has none, or when its first object lacks a required field."""
    first = True
    for block in read_blocks(path):
        objects, rejected = _objects(block[block.written])
        if first and objects:
            require_columns(list(objects[0][2]), f"the first object of {path}")
            first = False
        yield _rows(objects, (*block.rejected, *rejected))
    if first:
        raise InputError(f"{path} has no JSON object: an event log has one per line, with {','.join(REQUIRED)}")


def _objects(block: Block) -> tuple[list[tuple[int, str, dict[str, Any]]], list[Rejected]]:
    objects: list[tuple[int, str, dict[str, Any]]] = []
    rejected: list[Rejected] = []
    for number, text in zip(block.numbers.tolist(), block.texts, strict=True):
        why, found = _object(text)
        if why:
            rejected.append(Rejected(number, why, text.encode()))
        else:
            objects.append((number, text, found))
    return objects, rejected


def _object(text: str) -> tuple[str, dict[str, Any]]:
    try:
        found = _decoder.decode(text)
    except msgspec.DecodeError as error:
        return f"not JSON: {error}", {}
    if not isinstance(found, dict):
        return "not a JSON object", {}
    wrong = next((name for name in REQUIRED if isinstance(found.get(name), dict | list)), None)
    return (f"{wrong} is not text or a number", {}) if wrong else ("", found)


def _rows(objects: list[tuple[int, str, dict[str, Any]]], rejected: tuple[Rejected, ...]) -> Rows:
    found = [fields for _, _, fields in objects]
    columns = {name: [_text(fields.pop(name, None)) for fields in found] for name in REQUIRED}
    return Rows(
        columns=pl.DataFrame(columns, schema=dict.fromkeys(REQUIRED, pl.String)),
        context=pl.Series("context", [_encoder.encode(rest).decode() if rest else None for rest in found], pl.String),
        raw=pl.Series("raw", [text for _, text, _ in objects], pl.String),
        line=np.array([number for number, _, _ in objects], np.int64),
        rejected=rejected,
    )


def _text(value: object) -> str | None:
    if value is None:
        return None
    return str(int(value)) if isinstance(value, bool) else str(value)
