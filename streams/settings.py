"""What settings take: durations, numbers from a smallest one on, how many devices. One form, in every command."""

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter, Token
from cyclopts.validators import Number

from streams.times import Duration
from wire.errors import InputError

ALL = "all"


def _read_span(_type: Any, tokens: Sequence[Token]) -> Duration:
    try:
        return Duration.parse(tokens[0].value)
    except InputError as error:
        raise ValueError(str(error)) from error  # the command line adds whose value it is


def _read_some_time(kind: Any, tokens: Sequence[Token]) -> Duration:
    found = _read_span(kind, tokens)
    if not found.ms:
        raise ValueError(f"{tokens[0].value} is no time at all: it takes more")
    return found


def _read_devices(_type: Any, tokens: Sequence[Token]) -> int | None:
    words = tokens[0].value.strip()
    if words == ALL:
        return None
    if not words.isdecimal() or int(words) < 1:
        raise ValueError(f"{words} is neither a number of at least 1 nor {ALL}")
    return int(words)


# One word, whatever it begins with: -5s is a duration that is none, and not an option that nobody knows.
_ONE: dict[str, Any] = {"n_tokens": 1, "accepts_keys": False, "allow_leading_hyphen": True}
Span = Annotated[Duration, Parameter(converter=_read_span, **_ONE)]
SomeTime = Annotated[Duration, Parameter(converter=_read_some_time, **_ONE)]
Devices = Annotated[int | None, Parameter(converter=_read_devices, **_ONE)]
AtLeast0 = Annotated[int, Parameter(validator=Number(gte=0))]
AtLeast2 = Annotated[int, Parameter(validator=Number(gte=2))]
AtLeast1 = Annotated[int, Parameter(validator=Number(gte=1))]
Share = Annotated[float, Parameter(validator=Number(gt=0, lt=1))]
InitialShare = Annotated[float, Parameter(validator=Number(gt=0, lte=1))]
