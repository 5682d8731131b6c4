"""One step of one event on its way, of those few that are traced (JSON, topic `traces`, keyed by the trace)."""

from typing import Annotated

import msgspec

from wire.decoder import FORMAT, JsonDecoder
from wire.event import Name
from wire.ids import sample_key

STEP_BYTES = 4 << 10  # one of ours has 250 bytes
ONE_IN = 1000  # events: at 5,000 a second five are followed, a screen full an hour of each user's
Count = Annotated[int, msgspec.Meta(ge=0)]
OrNone = Annotated[int, msgspec.Meta(ge=-1)]


class TraceStep(msgspec.Struct, frozen=True, kw_only=True, tag_field=FORMAT, tag="trace/1"):
    """At `at_ms` (wall clock) `what` happened, in words, to what is called `trace`; whose it is, says `user_id`.

    `step` is `produced`, `refused`, `pooled`, `batched`, `taken` or `trained`; the last three are of one batch, by its
    `device` and `batch_seq`, but those of a canary, which is one request and its answer. `since_ms` is when it began,
    at its production.
    """

    trace: Name
    user_id: str
    step: Name
    since_ms: Count
    at_ms: Count
    what: str
    device: str = ""
    batch_seq: OrNone = -1


def trace_of(event_id: str) -> str:
    """What the trace of an event is called.

    >>> trace_of("5f1c0e9a77aa41d2")
    '186d876e14390aec'
    """
    return f"{sample_key(event_id):016x}"


def is_traced(key: int) -> bool:
    """Whether the event with this sample key is one of those that are followed: the same ones everywhere.

    >>> sum(is_traced(sample_key(str(n))) for n in range(20_000))
    26
    """
    return key % ONE_IN == 0


_encoder = msgspec.json.Encoder()
_decoder = JsonDecoder[TraceStep]("trace", TraceStep, STEP_BYTES)


def encode_step(step: TraceStep) -> bytes:
    """The step as JSON."""
    return _encoder.encode(step)


def decode_step(raw: bytes) -> TraceStep:
    """The step in `raw`; raises `Malformed`."""
    return _decoder(raw)
