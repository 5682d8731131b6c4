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
from wire.path import value_at

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_DEEPEST = 30  # an event, in which the row is the context, may nest 32 deep
_TOO_DEEP = f"nested deeper than {_DEEPEST}"

Object = tuple[int, str, dict[str, Any]]  # line, text, fields


def read_jsonl(path: Path, options: LogOptions) -> Iterator[Rows]:
    """The rows of the log; raises `InputError` when it has none, or where its fields cannot be told."""
    mapping: Mapping | None = None
    rejected: list[Rejected] = []  # and not handed out yet: what comes before the first object waits for it
    for lines in read_blocks(path):
        block = lines[lines.written]
        if mapping is None and _begins_array(block):
            raise InputError(f"{path} is one JSON array: an event log has an object per line, as `jq -c .[]` writes it")
        objects, malformed = _objects(block)
        rejected += [*block.rejected, *malformed]
        if mapping is None and objects:
            names = dict.fromkeys(name for _, _, fields in objects for name in fields)
            flat = {name for _, _, fields in objects for name, value in fields.items() if _is_flat(value)}
            mapping = find_mapping(list(names), options, str(path), frozenset(names.keys() - flat))
        if mapping is not None:
            yield _rows(objects, mapping, rejected)
            rejected = []
    if mapping is None:
        why = f" (line {rejected[0].line}: {rejected[0].reason})" if rejected else ""
        raise InputError(f"{path} has no JSON object on a line of its own{why}: an event log has one per line")


def _is_flat(value: object) -> bool:
    return not isinstance(value, dict | list)


def _begins_array(block: Block) -> bool:
    """Whether the file's first line begins, or is, an array of objects, though it may be too long for a row."""
    rejected = (row.raw.decode(errors="replace") for row in block.rejected)
    text = block.texts[0] if len(block.texts) else next(rejected, "")
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


def _rows(objects: list[Object], mapping: Mapping, rejected: list[Rejected]) -> Rows:
    wrong = dict(item for field, name in mapping.columns.items() for item in _nested(objects, field, name))
    for n, field in sorted(wrong.items()):
        number, text, _ = objects[n]
        rejected.append(Rejected.of(number, f"{field} is not text or a number", text.encode()))
    good = [each for n, each in enumerate(objects) if n not in wrong] if wrong else objects
    columns = {
        field: [value if type(value) is str else _text(value) for value in _values(good, mapping.columns[field])]
        if field in mapping.columns
        else pl.repeat(None, len(good), dtype=pl.String, eager=True)
        for field in FIELDS
    }
    return Rows(
        mapping=mapping,
        columns=pl.DataFrame(columns, dict.fromkeys(FIELDS, pl.String)),
        context=pl.Series("context", [_context(found, mapping.taken) for _, _, found in good], pl.String),
        raw=pl.Series("raw", [text for _, text, _ in good], pl.String),
        line=np.array([number for number, _, _ in good], np.int64),
        rejected=tuple(rejected),
    )


def _nested(objects: list[Object], field: str, name: str) -> list[tuple[int, str]]:
    """The objects, by number, in which this field is one of several values."""
    values = _values(objects, name)
    if {dict, list}.isdisjoint(map(type, values)):
        return []
    return [(n, field) for n, value in enumerate(values) if not _is_flat(value)]


def _values(objects: list[Object], name: str) -> list[Any]:
    if "." in name:
        return [value_at(found, name) for _, _, found in objects]
    return [found.get(name) for _, _, found in objects]


def _context(found: dict[str, Any], taken: frozenset[str]) -> str | None:
    rest = {name: value for name, value in found.items() if name not in taken}
    return _encoder.encode(rest).decode() if rest else None


def _text(value: object) -> str | None:
    """A value as CSV would have it; a whole number that a program wrote as 7.0 is 7."""
    if value is None or isinstance(value, str):
        return value
    whole = isinstance(value, bool) or (isinstance(value, float) and value.is_integer())
    return str(int(value) if whole else value)  # type: ignore[call-overload]
