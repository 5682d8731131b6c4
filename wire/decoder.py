"""Total, bounded decoding: any bytes give a message or `Malformed`, in time and memory that their size bounds.

Size is checked first, then depth, then types and ranges (by msgspec), then what only the message itself knows: its
`check`. Every message names its kind and format, as in `event/1`: JSON in the field `format`, MessagePack as the first
element of the array. A format this code does not know is refused by its name, never guessed.
"""

import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from wire.malformed import Malformed
from wire.reason import Reason

FORMAT = "format"  # the JSON field that names kind and version
# No message of ours nests deeper than 4; a context of an event may. msgspec raises RecursionError at about 1,000.
MOST_DEEP = 32
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")
_DETAIL_CHARACTERS = 300  # of a sentence that may quote what it complains of
T = TypeVar("T")


class _Unnamed(msgspec.Struct, tag_field=FORMAT, tag=""):
    """Beside it in a union, a message's own tag becomes mandatory: msgspec reads a lone struct without one."""


class Decoder(Generic[T]):
    """Decodes one kind of message; raises `Malformed`.

    `message` is a tagged `msgspec.Struct` or a union of such; `check` says what is wrong with values that have the
    right types, "" if nothing is.
    """

    _json = False  # MessagePack stops by itself where it nests too deep

    def __init__(self, kind: str, message: Any, at_most: int, *, check: Callable[[T], str] | None = None) -> None:
        self.kind, self.at_most = kind, at_most
        self._decode, self._check = self._decoder(message), check

    def __call__(self, raw: bytes) -> T:
        """The message in `raw`."""
        if len(raw) > self.at_most:
            raise Malformed(self.kind, Reason.TOO_LARGE, f"{len(raw)} bytes, at most {self.at_most}")
        if self._json and raw.count(b"[") + raw.count(b"{") > MOST_DEEP:  # hardly ever: two passes in C
            check_depth(raw, self.kind)
        try:
            message: T = self._decode(raw)
        except RecursionError:
            raise Malformed(self.kind, Reason.TOO_DEEP, f"nested deeper than {MOST_DEEP}") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._refusal(str(error)) from None
        if isinstance(message, _Unnamed):
            raise Malformed(self.kind, Reason.UNKNOWN_FORMAT, f"its `{FORMAT}` is empty")
        if self._check is not None and (wrong := self._check(message)):
            raise Malformed(self.kind, Reason.MALFORMED, wrong)
        return message

    def _refusal(self, why: str) -> Malformed:
        of_format = why.endswith((f"`$.{FORMAT}`", f"field `{FORMAT}`", "`$[0]`"))
        reason = Reason.UNKNOWN_FORMAT if of_format else Reason.MALFORMED
        return Malformed(self.kind, reason, one_line(why))

    def _decoder(self, message: Any) -> Callable[[bytes], Any]:
        raise NotImplementedError


class JsonDecoder(Decoder[T]):
    """Messages in JSON: what people and other programs write."""

    _json = True

    def _decoder(self, message: Any) -> Callable[[bytes], Any]:
        return msgspec.json.Decoder(message | _Unnamed).decode


class PackedDecoder(Decoder[T]):
    """Messages in MessagePack."""

    def _decoder(self, message: Any) -> Callable[[bytes], Any]:
        return msgspec.msgpack.Decoder(message).decode


def check_depth(raw: bytes, kind: str) -> None:
    """Raise `Malformed` when JSON nests deeper than `MOST_DEEP`; brackets within strings don't count.

    >>> check_depth(b'{"a": "' + b"[" * 99 + b'"}', "event")
    """
    if raw.count(b"[") + raw.count(b"{") <= MOST_DEEP:  # nearly always: a pass in C
        return
    depth = 0
    for bracket in _BRACKETS.findall(_STRING.sub(b"", raw)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MOST_DEEP:
            raise Malformed(kind, Reason.TOO_DEEP, f"nested deeper than {MOST_DEEP}")


def one_line(text: str) -> str:
    """A sentence that may quote a stranger: on one line, of bounded length, with no sign that a terminal obeys.

    >>> one_line("a\\nb\\x1b[2J")
    'a b�[2J'
    """
    line = printable(" ".join(text.split()))
    return line if len(line) <= _DETAIL_CHARACTERS else line[: _DETAIL_CHARACTERS - 1] + "…"


def printable(text: str, besides: str = "") -> str:
    """Words of a stranger for a terminal, of which none moves its cursor, sets its title or turns its text around; the
    signs `besides` stay.

    >>> printable("ann\\x1b]0;owned\\x07"), printable("Ångström\\t1 µs", "\\t")
    ('ann�]0;owned�', 'Ångström\\t1 µs')
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in besides else "\N{REPLACEMENT CHARACTER}" for sign in text)
