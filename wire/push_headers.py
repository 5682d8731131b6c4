"""What the tunnel needs of a candidate batch, as Kafka headers in ASCII, so that it carries them unread.

The message's key is the user id; MQTT takes it from there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Protocol, Self

from wire.event import NAME_CHARACTERS
from wire.identity import ModelId
from wire.malformed import Malformed
from wire.reason import Reason

FORMAT = "batch/2"  # of the message, `wire.batch`
BATCH_BYTES = 1 << 20  # of one with as many candidates as there may be, none of them compressed: 13 · 2¹⁶ = 832 KiB
_MOST_DIGITS = 18  # of a number that fits 64 bits with a sign
_HEX = re.compile(rb"([0-9a-f]{16})?")


class Pushed(Protocol):
    """A batch, packed or not."""

    @property
    def batch_seq(self) -> int: ...  # noqa: D102
    @property
    def produced_ms(self) -> int: ...  # noqa: D102
    @property
    def matched_ms(self) -> int: ...  # noqa: D102
    @property
    def model(self) -> ModelId: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class PushHeaders:
    """`seq`, and wall clock in ms of the event that made it due and of the match; `model` as in `ModelId`."""

    seq: int
    produced_ms: int
    matched_ms: int
    lineage: str
    version: int
    digest: str

    @classmethod
    def of(cls, batch: Pushed) -> Self:
        """The headers of a batch."""
        return cls(
            seq=batch.batch_seq,
            produced_ms=batch.produced_ms,
            matched_ms=batch.matched_ms,
            lineage=batch.model.lineage,
            version=batch.model.version,
            digest=batch.model.digest,
        )

    @property
    def model(self) -> ModelId:
        """The cloud model that encoded the batch."""
        return ModelId(self.lineage, self.version, self.digest)

    def encode(self) -> dict[str, bytes]:
        """As they travel."""
        values = {field.name: str(getattr(self, field.name)).encode() for field in fields(self)}
        return {"format": FORMAT.encode(), **values}

    @classmethod
    def decode(cls, headers: Mapping[str, bytes]) -> Self:
        """The headers of a message; raises `Malformed`.

        >>> PushHeaders.decode({"format": b"batch/9"})
        Traceback (most recent call last):
        wire.malformed.Malformed: batch refused (unknown_format): headers of format 'batch/9', this code reads batch/2
        """
        found = headers.get("format", b"")
        if found != FORMAT.encode():
            told = found[:32].decode(errors="replace")
            raise Malformed("batch", Reason.UNKNOWN_FORMAT, f"headers of format {told!r}, this code reads {FORMAT}")
        numbers = {name: _number(name, headers) for name in ("seq", "produced_ms", "matched_ms", "version")}
        return cls(**numbers, lineage=_hex("lineage", headers), digest=_hex("digest", headers))


def addressee(key: bytes) -> str:
    """The user id in a message's key; raises `Malformed`."""
    try:
        user_id = key.decode()
    except UnicodeDecodeError:
        user_id = ""
    if not 0 < len(user_id) <= NAME_CHARACTERS:
        raise Malformed("batch", Reason.MALFORMED, f"its key {key[:32]!r} is no user id")
    return user_id


def _number(name: str, headers: Mapping[str, bytes]) -> int:
    raw = headers.get(name, b"")
    if not raw.isdigit() or len(raw) > _MOST_DIGITS:
        raise Malformed("batch", Reason.MALFORMED, f"the header {name} is {raw[:32]!r}, not a number")
    return int(raw)


def _hex(name: str, headers: Mapping[str, bytes]) -> str:
    raw = headers.get(name, b"-")
    if not _HEX.fullmatch(raw):
        raise Malformed("batch", Reason.MALFORMED, f"the header {name} is {raw[:32]!r}, not 16 hexadecimal digits")
    return raw.decode()
