"""Durations, shares and sizes as people write them in TOML: numbers of one unit each, read from text."""

import re
from typing import Any, Literal, Self, get_args, get_origin

import msgspec

from streams.times import Duration
from wire.errors import InputError

_BYTES = {"B": 1, "kB": 1000, "MB": 1_000_000}


class Share(float):
    """A part of the whole from 0 to 1, written `30%` or `0.3`.

    >>> Share.parse("30%")
    0.3
    """

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `InputError`."""
        number = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", text.strip())
        share = float(number[1]) / (100 if number[2] else 1) if number else -1.0
        if not 0 <= share <= 1:
            raise InputError(f"{text!r} is no share: write 0% to 100%, such as 30%")
        return cls(share)


class Size(int):
    """Bytes (or bytes per second), written `500B`, `20kB` or `1MB`.

    >>> Size.parse("20kB")
    20000
    """

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `InputError`."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(B|kB|MB)", text.strip())
        if match is None:
            raise InputError(f"{text!r} is no size: write a number and B, kB or MB, such as 20kB")
        return cls(float(match[1]) * _BYTES[match[2]])


def read_unit(kind: type, value: Any) -> Any:
    """`value` of a TOML document as `kind`; a share may also be a bare number there. Raises `InputError`."""
    if kind is Share and isinstance(value, int | float) and not isinstance(value, bool):
        return Share.parse(str(value))
    if issubclass(kind, Duration | Share | Size):
        if not isinstance(value, str):
            raise InputError(f'{value!r} has no unit: write it in quotes, such as "{_EXAMPLE[kind]}"')
        return kind.parse(value)
    raise NotImplementedError(kind)


_EXAMPLE: dict[type, str] = {Duration: "60s", Share: "30%", Size: "20kB"}


def convert(document: Any, kind: Any) -> Any:
    """A TOML document, or a part of it, as `kind`; raises `InputError` that says where in it."""
    try:
        return msgspec.convert(document, kind, dec_hook=read_unit)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        words = str(error).replace("Object contains unknown field", "there is no setting").replace("`", "'")
        path = words.rpartition(" - at ")[2] if " - at " in words else ""
        said = f"{cause} - at {path}" if isinstance(cause, InputError) and str(cause) not in words else words
        if words.startswith("Invalid enum value") and (choices := _choices(kind, path.strip("'").rpartition(".")[2])):
            said += f": write one of {', '.join(choices)}"
        raise InputError(said.replace("$.", "").replace(" - at ", ", at ").removesuffix(", at ")) from error


def _choices(kind: Any, name: str) -> list[str]:
    """What may be written for the setting `name` of a struct, or of those of a union; none where that is no choice."""
    fields = (field for struct in get_args(kind) or (kind,) for field in msgspec.structs.fields(struct))
    said = (field.type for field in fields if field.encode_name == name and get_origin(field.type) is Literal)
    return list(dict.fromkeys(choice for each in said for choice in get_args(each)))
