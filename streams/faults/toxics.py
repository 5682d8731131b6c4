"""The words for what a network does to a connection: toxiproxy's, and those its users still ask for.

Each is data. `streams.faults.fate` decides by it what becomes of a chunk of bytes, `streams.faults.proxy` does it.
"""

from typing import ClassVar, Literal

import msgspec

from streams.faults.units import Share, Size
from streams.times import Duration

NONE, NO_LIMIT = Duration(0), Size(1 << 62)


class Toxic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    """One fault of a network. `direction` is seen from the client: up is to the broker."""

    direction: Literal["up", "down", "both"] = "both"
    stops: ClassVar[bool] = False  # whether it is meant to keep bytes from passing, not only to slow them

    def acts_on(self, direction: str) -> bool:
        """Whether it is about bytes that go `up` or `down`."""
        return self.direction in (direction, "both")


class Latency(Toxic, frozen=True, tag="latency"):
    """Every chunk takes `delay` longer, and up to `jitter` more or less."""

    delay: Duration
    jitter: Duration = NONE


class Bandwidth(Toxic, frozen=True, tag="bandwidth"):
    """So many bytes a second pass on each connection."""

    rate: Size


class Slicer(Toxic, frozen=True, tag="slicer"):
    """Chunks pass in slices of `size` bytes, give or take `variation`, `delay` apart."""

    size: Size
    variation: Size = Size(0)
    delay: Duration = NONE


class Loss(Toxic, frozen=True, tag="loss"):
    """A share `rate` of chunks is lost, in bursts: the next one shares the fate of the one before by `correlation`.

    TCP sends again what was lost, so what is seen is a stall: `rto`, and twice that after each further loss.
    """

    rate: Share
    correlation: Share = Share(0)
    rto: Duration = Duration(0.2)


class LimitData(Toxic, frozen=True, tag="limit_data"):
    """A connection ends after so many bytes in one direction."""

    stops = True
    bytes: Size


class CutAfter(Toxic, frozen=True, tag="cut_after"):
    """A connection ends when it is `age` old, give or take `jitter`; one begun earlier counts from now."""

    stops = True
    age: Duration
    jitter: Duration = NONE


class ResetPeer(Toxic, frozen=True, tag="reset_peer"):
    """Every connection is reset (TCP RST) `after` it began; a new one may follow."""

    stops = True
    after: Duration = NONE


class SlowClose(Toxic, frozen=True, tag="slow_close"):
    """The end of a connection reaches the other side `delay` late."""

    delay: Duration


class HalfOpen(Toxic, frozen=True, tag="timeout"):
    """Nothing passes and nobody is told: what came over such a connection is gone, and it stays so for good.

    After `after` both sides are reset; without it each has to notice by itself. Connections begun later do work.
    """

    stops = True
    after: Duration = NONE


class Down(Toxic, frozen=True, tag="down"):
    """Connections are reset, and new ones as soon as it is known whose they are."""

    stops = True


class Refuse(Toxic, frozen=True, tag="refuse"):
    """New connections get an MQTT refusal with this reason `code`; those that stand are reset. 135: not authorised."""

    stops = True
    code: int = 135


class Hold(Toxic, frozen=True, tag="hold"):
    """Bytes wait, and pass when it is over (*release*)."""

    stops = True


class Unplug(Toxic, frozen=True, tag="unplug"):
    """As a pulled cable: bytes and new connections wait, and no end of a connection is seen."""

    stops = True


AnyToxic = (
    Latency
    | Bandwidth
    | Slicer
    | Loss
    | LimitData
    | CutAfter
    | ResetPeer
    | SlowClose
    | HalfOpen
    | Down
    | Refuse
    | Hold
    | Unplug
)
