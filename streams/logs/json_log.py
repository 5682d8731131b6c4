"""JSON Lines event logs: one object per line, its other fields pass through as context."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from streams.logs.blocks import Block, read_blocks
from streams.logs.columns import Rows
from streams.logs.mapping import Mapping, find_mapping
from streams.logs.options import FIELDS, LogOptions
from streams.logs.rejected import Rejected
from wire.errors import InputError

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_DEEPEST = 30  # an event, in which the row is the context, may nest 32 deep
_TOO_DEEP = f"nested deeper than {_DEEPEST}"

Object = tuple[int, str, dict[str, Any]]  # line, text, fields


def read_jsonl(path: Path, options: LogOptions) -> Iterator[Rows]:
    """The rows of the log; raises `InputError` when it has none, or where its fields cannot be told."""
    mapping: Mapping | None = None
    for lines in read_blocks(path):
        block = lines[lines.written]
        if mapping is None and len(block.texts) and _begins_array(block.texts[0]):
            raise InputError(f"{path} is one JSON array: an event log has an object per line, as `jq -c .[]` writes it")
        objects, rejected = _objects(block)
        if mapping is None and objects:
            names = dict.fromkeys(name for _, _, fields in objects for name in fields)
            flat = {name for _, _, fields in objects for name, value in fields.items() if _is_flat(value)}
            mapping = find_mapping(list(names), options, str(path), frozenset(names.keys() - flat))
        if mapping is not None:
            yield _rows(objects, mapping, (*block.rejected, *rejected))
    if mapping is None:
        raise InputError(f"{path} has no JSON object on a line of its own: an event log has one per line")


def _is_flat(value: object) -> bool:
    return not isinstance(value, dict | list)


def _begins_array(text: str) -> bool:
    """Whether the file's first line begins, or is, an array of objects."""
    return re.match(r"\s*\[\s*(\{|$)", text) is not None


def _objects(block: Block) -> tuple[list[Object], list[Rejected]]:
    objects: list[Object] = []
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
        return _TOO_DEEP, {}
    if not isinstance(found, dict):
        return "not a JSON object", {}
    brackets = text.count("{") + text.count("[")
    return (_TOO_DEEP, {}) if brackets > _DEEPEST and _is_deeper(found, _DEEPEST) else ("", found)


def _is_deeper(value: object, levels: int) -> bool:
    inside = [value]
    for _ in range(levels):
        inside = [inner for each in inside if not _is_flat(each) for inner in _inner(each)]
    return not all(map(_is_flat, inside))


def _inner(value: Any) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value


def _rows(objects: list[Object], mapping: Mapping, rejected: tuple[Rejected, ...]) -> Rows:
    good = []
    for number, text, found in objects:
        values = [_value(found, mapping.columns[field]) if field in mapping.columns else None for field in FIELDS]
        wrong = next((field for field, value in zip(FIELDS, values, strict=True) if not _is_flat(value)), None)
        if wrong:
            rejected = (*rejected, Rejected.of(number, f"{wrong} is not text or a number", text.encode()))
        else:
            good.append((number, text, found, list(map(_text, values))))
    rest = [{name: value for name, value in found.items() if name not in mapping.taken} for _, _, found, _ in good]
    return Rows(
        mapping=mapping,
        columns=pl.DataFrame([values for *_, values in good], dict.fromkeys(FIELDS, pl.String), orient="row"),
        context=pl.Series("context", [_encoder.encode(each).decode() if each else None for each in rest], pl.String),
        raw=pl.Series("raw", [text for _, text, _, _ in good], pl.String),
        line=np.array([number for number, _, _, _ in good], np.int64),
        rejected=rejected,
    )


def _value(found: dict[str, Any], name: str) -> Any:
    """The field of that name, or the one where the path (user.id) leads."""
    if name in found or "." not in name:
        return found.get(name)
    inner = found.get(name.partition(".")[0])
    return _value(inner, name.partition(".")[2]) if isinstance(inner, dict) else None


def _text(value: object) -> str | None:
    if value is None:
        return None
    return str(int(value)) if isinstance(value, bool) else value if isinstance(value, str) else str(value)
