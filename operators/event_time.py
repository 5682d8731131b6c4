"""Event time: what one partition's events say of it, and what is done with an event that is ahead of it.

A clock that is a day ahead must not make it a day later for everybody; and a night in which nobody does anything, or a
log with hours between events, is no reason to lose one. When an event comes that is ahead, the two look alike. So it
is *held*, and what comes behind it decides: when time gets there (`models.quorum`), it goes on, in order; when events
go on coming at the time that was, it is a dead letter, `Reason.AHEAD`. At the end of a stream nothing comes behind it:
after `PATIENCE_MS` of waiting there, more events that contradict it than other users' that agree make it a dead letter,
as does a leap of more than `ALONE_MS` that fewer than the greater half of the users take, and else it is believed. (It
may be ahead of others then, but not of the wall clock it came with: `operators.decode`.)

All of this follows from the partition's messages in their order, but for that patience; what is held is saved with the
rest, because the partition's offset has moved past it. So that patience decides the same after a restart, too, a
snapshot says first which events have waited long enough, and only then something becomes of them, before anything else
does. And nobody waits before the partition was read to its `End` since the start: what came behind an event before a
crash comes behind it again, and decides. So what was believed once is not refused when the dataflow goes on from a
snapshot. A partition of one or two users has
nobody else to ask.

A log of users who come one after the other has hours in which only one of them speaks. So where nothing contradicts
`UNCONTRADICTED` events that are ahead by less than a day, they are believed, too, though all may be of one user: else
whoever replays such a log would wait for two more users at each of its gaps.
"""

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from models.quorum import FAR_MS, Quorum, QuorumState
from operators.decode import Arrival, Asked, Decoded, Raw, decode
from wire.clock import Clock, after
from wire.dead_letter import DeadLetter
from wire.moments import NO_EVENT, SteadyMs
from wire.reason import Reason

CONTRADICTED = 32  # events at the time that was: enough to know that it goes on
UNCONTRADICTED = 8  # events in a row that are ahead: of three users one has so many in a row once in 3^8 = 6,561 events
HELD_MOST = 10_000  # of a partition: 5 MB, which are saved with every epoch
PATIENCE_MS = 5_000  # at the end of a stream; longer would hold up the first events of a morning by as much
ALONE_MS = 30 * 86_400_000  # the pool's window by default: who leaps further takes everything out of it
SLACK_MS = 60_000  # that a partition's time may lag: little beside the lead
# And not the whole patience: Bytewax wakes by the wall clock, which may step back; nor at once: a snapshot is to be on
# disk before what it decides is done.
LOOK_AGAIN_MS = 1000


class End(NamedTuple):
    """What comes behind a partition's messages once all that were there at the start have been read."""

    topic: str
    partition: int


class Held(msgspec.Struct, array_like=True, gc=False):
    """An event that is ahead, how many events that contradict others were there before it, and since when it waits.

    `overdue` says that it waited long enough when the last snapshot was taken; who waits longest comes first.
    """

    arrival: Arrival
    before: int
    since_ms: SteadyMs
    overdue: bool = False


@dataclass(slots=True)
class Sorted:
    """Events and requests that can go on, keyed by user, and what can't."""

    accepted: list[tuple[str, Arrival | Asked]] = field(default_factory=list)
    rejected: list[DeadLetter] = field(default_factory=list)


class _AtRest(msgspec.Struct, frozen=True, array_like=True):
    quorum: QuorumState
    contradictions: int
    held: list[Held]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_AtRest)


class EventClock:
    """One partition's event time. Events up to `lead_ms` ahead of it go on at once; all others wait."""

    def __init__(self, lead_ms: int) -> None:
        self._lead_ms = lead_ms
        self._quorum = Quorum(SLACK_MS)
        self._held: deque[Held] = deque()
        self._soonest: float = math.inf  # none of them is earlier
        self._contradictions = 0  # events at the present time while others were held
        self._end_ms: SteadyMs | None = None  # when the partition was read to its end

    def __len__(self) -> int:
        """How many events wait."""
        return len(self._held)

    def take(self, decoded: Iterable[Decoded], now_ms: SteadyMs) -> Sorted:
        """Decide about what is overdue, and take what came next in the partition, in order.

        Requests and what was refused pass.
        """
        out = Sorted()
        while self._held and self._held[0].overdue:
            self._settle(out)
        accepted, claim, lead_ms = out.accepted, self._quorum.claim, self._lead_ms
        for one in decoded:
            if isinstance(one, Arrival):
                ahead = one.timestamp > claim(one.user_id, one.timestamp) + lead_ms
                if ahead or self._held:
                    self._hold(one, ahead, out, now_ms)
                if not ahead:
                    accepted.append((one.user_id, one))
            elif isinstance(one, Asked):
                accepted.append((one.user_id, one))
            else:
                out.rejected.append(one)
        return out

    def end(self, now_ms: SteadyMs) -> None:
        """The partition has been read to its end, so that from now on who waits is waited for."""
        self._end_ms = now_ms

    def snapshot(self, now_ms: SteadyMs) -> bytes:
        """The clock at rest, with what it holds; what has waited long enough by now is overdue from here on."""
        if (end_ms := self._end_ms) is not None:
            for held in self._held:
                held.overdue |= now_ms - max(held.since_ms, end_ms) >= PATIENCE_MS
        return _encoder.encode(_AtRest(self._quorum.state(), self._contradictions, list(self._held)))

    @classmethod
    def restore(cls, raw: bytes, lead_ms: int, now_ms: SteadyMs) -> "EventClock":
        """The clock that was at rest in `raw`; what it holds waits anew."""
        rest = _decoder.decode(raw)
        clock = cls(lead_ms)
        clock._quorum, clock._contradictions = Quorum.restore(rest.quorum, SLACK_MS), rest.contradictions
        clock._held.extend(Held(held.arrival, held.before, now_ms, held.overdue) for held in rest.held)
        clock._soonest = NO_EVENT
        return clock

    def _hold(self, arrival: Arrival, ahead: bool, out: Sorted, now_ms: SteadyMs) -> None:
        """Hold an event that is ahead; in any case, decide about those held of which it can be decided now."""
        if ahead:
            self._held.append(Held(arrival, self._contradictions, now_ms))
            self._soonest = min(self._soonest, arrival.timestamp)
        elif arrival.timestamp >= self._quorum.now - self._lead_ms:  # an older one says nothing of the present
            self._contradictions += 1
        self._release(out)
        if len(self._held) >= UNCONTRADICTED:
            self._believe_uncontradicted(out)
        while self._held and self._contradictions - self._held[0].before >= CONTRADICTED:
            self._refuse(out)
        if len(self._held) > HELD_MOST:
            self._settle(out)

    def _believe_uncontradicted(self, out: Sorted) -> None:
        """Time has come to the first event that is held, if nothing came since that says otherwise."""
        first = self._held[0]
        near = first.arrival.timestamp <= self._quorum.now + FAR_MS
        if near and self._contradictions == first.before:
            self._quorum.begin_again(first.arrival.user_id, first.arrival.timestamp)
            self._release(out)

    def _release(self, out: Sorted) -> None:
        """Let go of the events that time has reached, in order."""
        until_ms = self._quorum.now + self._lead_ms
        if self._soonest > until_ms:
            return
        waiting, self._held = self._held, deque()
        for held in waiting:
            if held.arrival.timestamp <= until_ms:
                out.accepted.append((held.arrival.user_id, held.arrival))
            else:
                self._held.append(held)
        self._soonest = min((held.arrival.timestamp for held in self._held), default=math.inf)

    def _settle(self, out: Sorted) -> None:
        """Decide about the event that has waited longest by what has come so far."""
        first = self._held[0]
        user_id, timestamp = first.arrival.user_id, first.arrival.timestamp
        others = [held.arrival for held in self._held if held.arrival.user_id != user_id]
        agreeing = [other.user_id for other in others if other.timestamp >= timestamp - self._lead_ms]
        lonely = timestamp > self._quorum.now + ALONE_MS and 1 + len(set(agreeing)) < self._quorum.majority
        if lonely or self._contradictions - first.before > len(agreeing):
            self._refuse(out)
        else:
            self._quorum.begin_again(user_id, timestamp)
            self._release(out)

    def _refuse(self, out: Sorted) -> None:
        refused = self._held.popleft().arrival
        ahead_ms = refused.timestamp - self._quorum.now
        detail = f"by {ahead_ms} ms of the time that other events say, {self._lead_ms} ms are allowed"
        out.rejected.append(refused.refused(Reason.AHEAD, detail))


class PartitionLogic(StatefulBatchLogic[list[Raw] | End, Sorted, bytes]):
    """One partition in a dataflow: decoded, and events in time; `times` are to be read by others."""

    def __init__(
        self,
        saved: bytes | None,
        *,
        requests: str,
        lead_ms: int,
        clock: Clock,
    ) -> None:
        self.times = EventClock(lead_ms) if saved is None else EventClock.restore(saved, lead_ms, clock.steady_ms())
        self._requests = requests
        self._clock = clock

    def on_batch(self, values: list[list[Raw] | End]) -> tuple[list[Sorted], bool]:
        """Take the partition's next messages."""
        messages = [message for value in values if not isinstance(value, End) for message in value]
        decoded, now_ms = decode(messages, self._requests, self._clock.wall_ms()), self._clock.steady_ms()
        if any(isinstance(value, End) for value in values):
            self.times.end(now_ms)
        return [self.times.take(decoded, now_ms)], self.RETAIN

    def on_notify(self) -> tuple[list[Sorted], bool]:
        """Nothing has come for a while."""
        return [self.times.take([], self._clock.steady_ms())], self.RETAIN

    def notify_at(self) -> datetime | None:
        """Soon, while an event waits."""
        return after(self._clock, LOOK_AGAIN_MS) if len(self.times) else None

    def snapshot(self) -> bytes:
        """The partition's time, saved."""
        return self.times.snapshot(self._clock.steady_ms())


def event_time_step(
    step_id: str,
    up: Stream[Raw | End],
    *,
    requests: str,
    lead_ms: int,
    clock: Clock,
) -> tuple[KeyedStream[Arrival | Asked], Stream[DeadLetter]]:
    """`decode` and an `EventClock` per partition in a dataflow: what can be used, keyed by user, and what can't."""
    partitions: KeyedStream[list[Raw] | End] = op.flat_map_batch(f"{step_id}_partitions", up, _by_partition)
    shared: dict[str, Any] = {"requests": requests, "lead_ms": lead_ms, "clock": clock}
    decoded: Any = op.stateful_batch(step_id, partitions, lambda saved: PartitionLogic(saved, **shared))
    accepted: Any = op.flat_map_batch(f"{step_id}_accepted", decoded, _accepted)
    return accepted, op.flat_map_batch(f"{step_id}_rejected", decoded, _rejected)


def _by_partition(messages: Sequence[Raw | End]) -> list[tuple[str, list[Raw] | End]]:
    parts: defaultdict[tuple[str, int], list[Raw]] = defaultdict(list)
    ends: list[End] = []
    for message in messages:
        if isinstance(message, End):
            ends.append(message)
        else:
            parts[message.topic, message.partition].append(message)
    keyed: list[tuple[tuple[str, int], list[Raw] | End]] = [*parts.items(), *((end, end) for end in ends)]
    return [(f"{topic}/{partition}", part) for (topic, partition), part in keyed]


def _accepted(keyed: Iterable[tuple[str, Sorted]]) -> list[tuple[str, Arrival | Asked]]:
    return [one for _, out in keyed for one in out.accepted]


def _rejected(keyed: Iterable[tuple[str, Sorted]]) -> list[DeadLetter]:
    return [one for _, out in keyed for one in out.rejected]
