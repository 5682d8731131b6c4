"""Paths into JSON objects: a field by its name, or by the names that lead to it, as in `shop.city`."""

from collections.abc import Iterator, Mapping
from typing import Any


def value_at(found: Mapping[str, Any], path: str) -> Any:
    """The field of that name, or the one where the path leads; None where there is none.

    >>> value_at({"a.b": 1, "a": {"b": 2, "c": {"d": 3}}}, "a.b"), value_at({"a": {"c": {"d": 3}}}, "a.c.d")
    (1, 3)
    """
    if path in found or "." not in path:
        return found.get(path)
    first, _, rest = path.partition(".")
    inner = found.get(first)
    return value_at(inner, rest) if isinstance(inner, Mapping) else None


def paths(found: Mapping[str, Any]) -> Iterator[str]:
    """The paths to all fields but those that hold others.

    >>> [*paths({"a": 1, "b": {"c": 2, "d": {"e": 3}}})]
    ['a', 'b.c', 'b.d.e']
    """
    for name, value in found.items():
        if isinstance(value, Mapping):
            yield from (f"{name}.{inner}" for inner in paths(value))
        else:
            yield name
