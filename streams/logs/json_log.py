"""JSON Lines event logs: one object per line, its other fields pass through as context."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from streams.logs.blocks import Block, read_blocks
from streams.logs.columns import REQUIRED, Rows, require_columns
from streams.logs.rejected import Rejected
from wire.errors import InputError

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def read_jsonl(path: Path) -> Iterator[Rows]:
    """The rows of the log; raises `InputError` when it has none, or when all first objects lack a required field."""
    first = True
    for lines in read_blocks(path):
        block = lines[lines.written]
        if first and len(block.texts) and _begins_array(block.texts[0]):
            raise InputError(f"{path} is one JSON array: an event log has an object per line, as `jq -c .[]` writes it")
        objects, rejected = _objects(block)
        if first and objects:
            require_columns(list(dict.fromkeys(name for _, _, fields in objects for name in fields)), str(path))
            first = False
        yield _rows(objects, (*block.rejected, *rejected))
    if first:
        raise InputError(
            f"{path} has no JSON object on a line of its own: an event log has one per line, with {','.join(REQUIRED)}"
        )


def _begins_array(text: str) -> bool:
    """Whether the file's first line begins, or is, an array of objects."""
    return re.match(r"\s*\[\s*(\{|$)", text) is not None


def _objects(block: Block) -> tuple[list[tuple[int, str, dict[str, Any]]], list[Rejected]]:
    objects: list[tuple[int, str, dict[str, Any]]] = []
    rejected: list[Rejected] = []
    for number, text in zip(block.numbers.tolist(), block.texts, strict=True):
        why, found = _object(text)
        if why:
            rejected.append(Rejected.of(number, why, text.encode()))
        else:
            objects.append((number, text, found))
    return objects, rejected


def _object(text: str) -> tuple[str, dict[str, Any]]:
    try:
        found = _decoder.decode(text)
    except msgspec.DecodeError as error:
        return f"not JSON: {error}", {}
    except RecursionError:
        return "nested too deep", {}
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
