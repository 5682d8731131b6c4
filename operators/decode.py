"""Decode: raw Kafka messages become arrivals and requests; what cannot be read becomes a dead letter.

Nothing is dropped silently: whatever is refused travels on with its raw bytes and the reason.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol, Self

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream

from wire.event import Event, decode_event
from wire.ids import item_key, sample_key
from wire.telemetry import MatchRequest, decode_report

# A device clock may be a day ahead; beyond that a timestamp is in the wrong unit or wrong, and would carry
# the windows of everyone with it. Ours.
MAX_AHEAD_MS = 86_400_000


class Raw(Protocol):
    """What decoding needs of a Kafka message; `timestamp_ms` is the wall clock when it was produced."""

    @property
    def topic(self) -> str: ...  # noqa: D102

    @property
    def value(self) -> bytes: ...  # noqa: D102

    @property
    def timestamp_ms(self) -> int: ...  # noqa: D102


class Arrival(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One valid event of one user as keys; `timestamp` is event time, `produced_ms` wall clock."""

    user_id: str
    sample: int
    item: int
    category: int
    label: int
    timestamp: int
    produced_ms: int
    raw: bytes

    @classmethod
    def of(cls, event: Event, produced_ms: int, raw: bytes = b"") -> Self:
        """An event that was produced then; without `raw` its bytes can't be told in a dead letter."""
        return cls(
            event.user_id,
            sample_key(event.event_id),
            item_key(event.item_id),
            item_key(event.category_id),
            event.label,
            event.timestamp,
            produced_ms,
            raw,
        )


class Asked(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A device asked for a fresh batch at `produced_ms` (wall clock)."""

    user_id: str
    produced_ms: int


class Rejected(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was refused: the raw bytes and a one-line reason, of which `kind` is the part that is counted.

    Requests that are refused are of kind `REQUEST`; all others are events.
    """

    kind: str
    reason: str
    raw: bytes


REQUEST = "request"
Decoded = tuple[str, Arrival | Asked] | Rejected


def decode(messages: Iterable[Raw], requests: str) -> list[Decoded]:
    """Arrivals and, from the topic `requests`, requests, keyed by user id; in order.

    >>> from types import SimpleNamespace as Message
    >>> [bad] = decode([Message(topic="events", value=b'{"event_id": 7}', timestamp_ms=0)], "requests")
    >>> bad.kind, bad.reason
    ('malformed', 'Expected `str`, got `int` - at `$.event_id`')
    """
    return [_decode(_asked if message.topic == requests else _arrival, message) for message in messages]


def decode_step(step_id: str, up: Stream[Raw], requests: str) -> tuple[KeyedStream[Arrival | Asked], Stream[Rejected]]:
    """`decode` in a dataflow: what can be used, keyed by user, and what can not."""
    decoded: Any = op.flat_map_batch(step_id, up, partial(decode, requests=requests))
    split = op.branch(f"{step_id}_rejected", decoded, _is_rejected)
    return split.falses, split.trues


def _is_rejected(item: object) -> bool:
    return isinstance(item, Rejected)


def _decode(read: Callable[[Raw], Decoded], message: Raw) -> Decoded:
    try:
        return read(message)
    except msgspec.ValidationError as error:
        reason = str(error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = f"not JSON: {error}"
    return Rejected(REQUEST if read is _asked else "malformed", reason, message.value)


def _arrival(message: Raw) -> Decoded:
    raw, produced_ms = message.value, message.timestamp_ms
    event = decode_event(raw)
    if event.timestamp > produced_ms + MAX_AHEAD_MS:
        return Rejected("future", f"timestamp {event.timestamp} lies in the future of {produced_ms}", raw)
    return event.user_id, Arrival.of(event, produced_ms, raw)


def _asked(message: Raw) -> Decoded:
    report = decode_report(message.value)
    if not isinstance(report, MatchRequest):
        return Rejected(REQUEST, f"a {type(report).__name__} where a match request belongs", message.value)
    return report.user_id, Asked(report.user_id, message.timestamp_ms)
