"""What a process says of itself each second (JSON, compacted topic `status`, keyed by `role/name`).

It says everything anew each time, in sums since it started (`boot`), so that one that is lost changes nothing and
whoever begins to listen knows all from the newest of each process.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from wire.decoder import FORMAT, JsonDecoder
from wire.event import Name

STATUS_BYTES = 256 << 10  # one of ours has 2 kB; a frontier has 50 bytes, and a topic may have a thousand partitions
Count = Annotated[int, msgspec.Meta(ge=0)]
OrNone = Annotated[int, msgspec.Meta(ge=-1)]  # -1: not known, or there is none


class Role(StrEnum):
    """What a process is for."""

    REPLAY = "replay"
    SCORER = "scorer"
    FLOW = "flow"
    TRAINER = "trainer"
    TUNNEL = "tunnel"
    FLEET = "fleet"
    CANARY = "canary"
    CHAOS = "chaos"


class Frontier(msgspec.Struct, frozen=True, array_like=True):
    """How far one stage is in one partition of what it reads (-1: it reads no partitions).

    Everything that was there at `until_ms` (wall clock; 0: nothing known yet) is done. `position` is the offset that
    comes next, `end` where the partition ended when that was asked, after the position. `event_ms` is the newest event
    time that is done.
    """

    stage: Name
    partition: OrNone
    position: OrNone
    end: OrNone
    until_ms: Count
    event_ms: OrNone = -1

    @property
    def behind(self) -> int:
        """How much there is to do."""
        return max(0, self.end - self.position) if self.position >= 0 else 0


class Status(msgspec.Struct, frozen=True, kw_only=True, tag_field=FORMAT, tag="status/1"):
    """One process: since its start at `boot` (wall clock, ms), said at `said_ms` for the `sequence`th time.

    `ended` is said once, at the end; `warnings` are its newest. `values` are its metrics by Prometheus name, then by
    labels as in `reason=late,shard=0`: what ends in `_total` only grows while it lives. `ages` counts by stage how
    many things passed at an age of at most each of `age_bounds_s` but more than the one before; the last count is of
    those beyond.
    """

    role: Role
    name: Name
    boot: Count
    sequence: Count
    said_ms: Count
    ended: bool = False
    values: dict[Name, dict[str, float]] = {}
    age_bounds_s: tuple[float, ...] = ()
    ages: dict[Name, tuple[Count, ...]] = {}
    frontiers: tuple[Frontier, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Tells processes apart; the same after a restart."""
        return f"{self.role}/{self.name}"


def _check(status: Status) -> str:
    counts = len(status.age_bounds_s) + 1
    if any(len(ages) != counts for ages in status.ages.values()):
        return f"`ages` must have {counts} counts per stage, one more than `age_bounds_s`"
    if list(status.age_bounds_s) != sorted(set(status.age_bounds_s)):
        return "`age_bounds_s` must grow"
    return ""


_encoder = msgspec.json.Encoder()
_decoder = JsonDecoder[Status]("status", Status, STATUS_BYTES, check=_check)


def encode_status(status: Status) -> bytes:
    """The status as JSON."""
    return _encoder.encode(status)


def decode_status(raw: bytes) -> Status:
    """The status in `raw`; raises `Malformed`."""
    return _decoder(raw)
