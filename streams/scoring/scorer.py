"""Scoring, sans-I/O: events in, the same out, each with what the model expected of it.

What happens long after all others is refused as the dataflow would refuse it, by its own code. An event that comes
behind others is judged as of the moment it came: how popular things were before it is not kept. What came already, or
may have, teaches nothing and tells no time: it goes on as it came, to the dataflow, which counts it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace

from models.quorum import LEAD_MS, Quorum, QuorumState
from models.streamed.context import ContextNames
from models.streamed.features import PEOPLE
from models.streamed.moments import Moments
from models.streamed.people import People
from operators.decode import Arrival, Arrived
from operators.event_time import EventClock, Sorted
from streams.base.service import Contexts, Service
from streams.base.training import Hand, at_once
from streams.logs.slices import SLICE_ROWS, Slicer
from streams.scoring.came import Came
from wire.dead_letter import DeadLetter
from wire.event import EVENT_BYTES, decode_context, with_base
from wire.ids import user_key, user_keys
from wire.moments import SteadyMs, WallMs

OWN, EXPECTED, UNKNOWN = "own", "expected", "unknown"  # what an event says that goes on, unless it can't be taken


class Outgoing(NamedTuple):
    """An event that goes on: its value, and when it was produced first; `said` is one of the words above, or of those
    of `streams.scoring.came`."""

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


_Known = tuple[Arrival, str]  # an event whose time has come, and the word for why it can't be taken, if it can't


class ScorerState(msgspec.Struct, frozen=True, kw_only=True):
    """A scorer at rest, but for its service."""

    made: Made
    present: QuorumState
    slice: tuple[int, int, dict[str, int]]
    clocks: dict[int, bytes]


class Scorer:
    """Says by its `service`, once that has begun, what is expected of each event of a topic, and lets it learn of them.

    Events of the time of what it began with it has learned of already: they pass, as do those that came before. So does
    what says an expectation of its own, of which it learns all the same.
    """

    def __init__(self, made: Made, hand: Hand = at_once) -> None:
        self.made = made
        self.service = Service(
            (made.base,),
            base=made.base,
            delay_ms=made.delay_ms,
            impressions=made.impressions,
            context=made.context,
            seed=made.seed,
            hand=hand,
        )
        self._present = Quorum()
        self._slicer = Slicer(SLICE_ROWS, made.delay_ms)
        self._clocks: dict[int, EventClock] = {}
        self.came = People(PEOPLE, Came)

    @property
    def waiting(self) -> int:
        """Events that are held until others say whether their time has come."""
        return sum(map(len, self._clocks.values()))

    def take(self, arrived: Iterable[Arrived], steady_ms: SteadyMs, ended: Collection[int] = ()) -> Scored:
        """Events in the order in which they are to be judged; `ended` are partitions that were read to their end."""
        refused: list[DeadLetter] = []
        known: list[_Known] = []
        for one in arrived:
            if not isinstance(one, Arrival):
                refused.append(one)
            elif word := self._word(one):
                known.append((one, word))
            else:
                known += self._told(self._clock(one.partition).take([one], steady_ms), refused, one)
        for partition in ended:
            self._clock(partition).end(steady_ms)
        return self._scored(known, refused)

    def settle(self, steady_ms: SteadyMs) -> Scored:
        """Decide about events that had waited long enough when the state was taken last, once that is kept."""
        refused: list[DeadLetter] = []
        known: list[_Known] = []
        for clock in self._clocks.values():
            known += self._told(clock.take([], steady_ms), refused)
        return self._scored(known, refused)

    def state(self, steady_ms: SteadyMs) -> ScorerState:
        """All at rest, but for the service and what came of each user."""
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
        if partition not in self._clocks:
            self._clocks[partition] = EventClock(LEAD_MS)
        return self._clocks[partition]

    def _word(self, arrival: Arrival) -> str:
        """Why it can't be taken, if it can't."""
        if arrival.timestamp <= self.made.initial_until_ms:
            return UNKNOWN
        came = self.came.find(user_key(arrival.user_id))
        return came.word(arrival.sample, arrival.timestamp) if came else ""

    def _told(self, out: Sorted, refused: list[DeadLetter], new: Arrival | None = None) -> list[_Known]:
        """What a clock let go, one behind the other, since what came twice may have been held twice; the rest is
        `refused`. `new` was looked up already, which says all where nothing was let go before it."""
        refused += out.rejected
        known = []
        for user_id, one in out.accepted:
            if isinstance(one, Arrival):
                word = "" if one is new and len(out.accepted) == 1 else self._word(one)
                known.append((one, word))
                if not word:
                    self.came.of(user_key(user_id)).take(one.sample, one.timestamp)
        return known

    def _scored(self, known: Sequence[_Known], refused: list[DeadLetter]) -> Scored:
        odds = iter(self._expected([arrival for arrival, word in known if not word]))
        out = [_as_it_came(arrival, word) if word else _outgoing(arrival, next(odds)) for arrival, word in known]
        return Scored(out, refused, max((arrival.timestamp for arrival, _ in known), default=-1))

    def _expected(self, arrivals: Iterable[Arrival]) -> list[float]:
        """Of each, as log-odds."""
        odds: list[float] = []
        part: list[Arrival] = []  # of one slice
        begins = False
        for arrival in arrivals:
            now_ms = max(arrival.timestamp, self._present.claim(arrival.user_id, arrival.timestamp))
            if self._slicer.begins(arrival.user_id, now_ms):
                odds += self._judged(part, begins=begins)
                part, begins = [], True
            part.append(arrival if now_ms == arrival.timestamp else replace(arrival, timestamp=now_ms))
        return [*odds, *self._judged(part, begins=begins)]

    def _judged(self, part: Sequence[Arrival], *, begins: bool) -> list[float]:
        """Of a part of a slice that begins here, or goes on."""
        if not part:
            return []
        judge = self.service.see if begins else self.service.go_on
        odds: list[float] = judge(_moments(part), self._contexts(part)).tolist()
        return odds

    def _contexts(self, part: Sequence[Arrival]) -> Contexts:
        """What was told beside, if anybody asks."""
        return [decode_context(arrival.raw) if self.made.context.all else None for arrival in part]


def _moments(arrivals: Sequence[Arrival]) -> Moments:
    return Moments(
        user_keys([arrival.user_id for arrival in arrivals]),
        np.array([arrival.item for arrival in arrivals], np.uint32),
        np.array([arrival.category for arrival in arrivals], np.uint32),
        np.array([arrival.label for arrival in arrivals], np.uint8),
        np.array([arrival.timestamp for arrival in arrivals], np.int64),
    )


def _as_it_came(arrival: Arrival, said: str) -> Outgoing:
    return Outgoing(arrival.user_id, arrival.raw, arrival.produced_ms, said)


def _outgoing(arrival: Arrival, odds: float) -> Outgoing:
    if arrival.base is not None:
        return _as_it_came(arrival, OWN)
    value = with_base(arrival.raw, odds)
    if len(value) > EVENT_BYTES:  # nobody would take it with one
        return _as_it_came(arrival, UNKNOWN)
    return Outgoing(arrival.user_id, value, arrival.produced_ms, EXPECTED)
