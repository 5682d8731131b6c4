"""Scoring, sans-I/O: messages in, the same events out, each with what the model expected of it.

What can't be read, or happens long after all others, is refused as the dataflow would refuse it, by its own code. An
event that comes behind others is judged as of the moment it came: how popular things were before it is not kept.
"""

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, cast

import msgspec
from msgspec.structs import replace

from models.quorum import LEAD_MS, Quorum, QuorumState
from models.streamed.context import ContextNames
from operators.decode import Arrival, Raw, decode
from operators.event_time import EventClock
from streams.base.service import Service
from streams.bus import Message
from streams.logs.slices import SLICE_ROWS, Slicer
from wire.dead_letter import DeadLetter, Origin
from wire.event import EVENT_BYTES, Event, decode_event, with_base
from wire.moments import EventMs, SteadyMs, WallMs

OWN, EXPECTED, UNKNOWN = "own", "expected", "unknown"  # what an event says that goes on
_NOTHING_ASKED = ""  # the topic of requests: there is none here


class Outgoing(NamedTuple):
    """An event that goes on: its value, and when it was produced first; `said` is one of the words above."""

    user_id: str
    value: bytes
    produced_ms: WallMs
    said: str


@dataclass(slots=True)
class Scored:
    """What becomes of messages: events in the order in which they can go on, and what was refused."""

    events: list[Outgoing] = field(default_factory=list)
    refused: list[DeadLetter] = field(default_factory=list)
    event_ms: int = -1  # the newest of their event times


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What a scorer is made of: its model `base`, how old what everybody did is at least when it is known, whether
    label 0 says that an item was really shown, what it knows of contexts, the seed of trees, and the newest event time
    of what it began with."""

    base: str
    delay_ms: int
    impressions: bool
    context: ContextNames
    seed: int
    initial_until_ms: int


class ScorerState(msgspec.Struct, frozen=True, kw_only=True):
    """A scorer at rest, but for its service."""

    made: Made
    present: QuorumState
    slice: tuple[int, int, dict[str, int]]
    clocks: dict[int, bytes]


class Scorer:
    """Says by its `service`, once that has begun, what is expected of each event of a topic, and lets it learn of them.

    Events of the time of what it began with it has learned of already: they pass. So does what says an expectation of
    its own, of which it learns all the same.
    """

    def __init__(self, made: Made) -> None:
        self.made = made
        self.service = Service(
            (made.base,),
            base=made.base,
            delay_ms=made.delay_ms,
            impressions=made.impressions,
            context=made.context,
            seed=made.seed,
        )
        self._present = Quorum()
        self._slicer = Slicer(SLICE_ROWS, made.delay_ms)
        self._clocks: dict[int, EventClock] = {}

    @property
    def waiting(self) -> int:
        """Events that are held until others say whether their time has come."""
        return sum(map(len, self._clocks.values()))

    def take(
        self, messages: Sequence[Message], wall_ms: WallMs, steady_ms: SteadyMs, ended: Collection[int] = ()
    ) -> Scored:
        """Messages in the order in which they were read; `ended` are partitions that were read to their end."""
        accepted: list[Arrival] = []
        refused: list[DeadLetter] = []
        for partition, run in groupby(messages, attrgetter("partition")):
            came = list(run)
            out = self._clock(partition).take(decode(cast(list[Raw], came), _NOTHING_ASKED, wall_ms), steady_ms)
            accepted += [one for _, one in out.accepted if isinstance(one, Arrival)]
            refused += [_from(came[0].topic, letter) for letter in out.rejected]
        for partition in ended:
            self._clock(partition).end(steady_ms)
        return self._scored(accepted, refused)

    def settle(self, topic: str, steady_ms: SteadyMs) -> Scored:
        """Decide about events that had waited long enough when the state was taken last, once that is kept."""
        out = [clock.take([], steady_ms) for clock in self._clocks.values()]
        refused = [_from(topic, letter) for each in out for letter in each.rejected]
        return self._scored([one for each in out for _, one in each.accepted if isinstance(one, Arrival)], refused)

    def state(self, steady_ms: SteadyMs) -> ScorerState:
        """All at rest, but for the service."""
        return ScorerState(
            made=self.made,
            present=self._present.state(),
            slice=self._slicer.state(),
            clocks={partition: clock.snapshot(steady_ms) for partition, clock in self._clocks.items()},
        )

    def restore(self, state: ScorerState, steady_ms: SteadyMs) -> None:
        """Go on from where `state` was."""
        self._present = Quorum.restore(state.present)
        self._slicer.restore(state.slice)
        self._clocks = {
            partition: EventClock.restore(raw, LEAD_MS, steady_ms) for partition, raw in state.clocks.items()
        }

    def _clock(self, partition: int) -> EventClock:
        return self._clocks.setdefault(partition, EventClock(LEAD_MS))

    def _scored(self, arrivals: Sequence[Arrival], refused: list[DeadLetter]) -> Scored:
        events = [decode_event(arrival.raw) for arrival in arrivals]
        odds = self._expected(events)
        event_ms = max((event.timestamp for event in events), default=-1)
        out = [_outgoing(*each) for each in zip(arrivals, events, odds, strict=True)]
        return Scored(out, refused, event_ms)

    def _expected(self, events: Iterable[Event]) -> list[float | None]:
        """Of each, as log-odds; None of those that the model began with."""
        odds: list[float | None] = []
        part: list[Event] = []  # of one slice
        begins = False
        for event in events:
            if event.timestamp <= self.made.initial_until_ms:
                odds += [*self._judged(part, begins=begins), None]
                part, begins = [], False
                continue
            now_ms = max(event.timestamp, self._present.claim(event.user_id, EventMs(event.timestamp)))
            if self._slicer.begins(event.user_id, now_ms):
                odds += self._judged(part, begins=begins)
                part, begins = [], True
            part.append(event if now_ms == event.timestamp else replace(event, timestamp=now_ms))
        return [*odds, *self._judged(part, begins=begins)]

    def _judged(self, part: Sequence[Event], *, begins: bool) -> list[float]:
        """Of a part of a slice that begins here, or goes on."""
        if not part:
            return []
        odds: list[float] = (self.service.see if begins else self.service.go_on)(part).tolist()
        return odds


def _outgoing(arrival: Arrival, event: Event, odds: float | None) -> Outgoing:
    if event.base is not None:
        return Outgoing(event.user_id, arrival.raw, arrival.produced_ms, OWN)
    value = arrival.raw if odds is None else with_base(arrival.raw, odds)
    if odds is None or len(value) > EVENT_BYTES:  # nobody would take it with one
        return Outgoing(event.user_id, arrival.raw, arrival.produced_ms, UNKNOWN)
    return Outgoing(event.user_id, value, arrival.produced_ms, EXPECTED)


def _from(topic: str, letter: DeadLetter) -> DeadLetter:
    """A dead letter that says from where it really is."""
    return dataclasses.replace(letter, origin=Origin(topic, letter.origin.partition, letter.origin.offset))
