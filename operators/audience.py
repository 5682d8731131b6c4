"""The audience step: a sample goes on to the pool once enough users took its item.

What one person alone takes could say who that person is. So the samples of an item wait until `min_users` of its users
took it, and then all go on; who took what is forgotten with that. What waits in the end does not depend on the order in
which partitions and workers were read, so that a run that was disturbed fills the pool as one that was not.

Users are counted per item and not per shard, which sees a part of the users only; so the step has a state per item,
on whichever worker it falls. Once an item is through, all workers hear of it, and its samples pass the state by: to
send each to another worker, and to save the state that it came to, costs more than most of what else is done with it.
A state holds at most `min_users` keys of 8 bytes and `MOST_WAITING` samples, and then one flag. Of more than a million
items those that came longest ago are let go; who comes again begins anew. Where fewer users are enough than were when
the dataflow ran last, what waits for more of them goes on when it begins.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Never

import bytewax.operators as op
import msgspec
from bytewax.operators import KeyedStream, StatefulBatchLogic

from monitor.metrics import Metrics
from operators.placement import worker_key
from operators.residents import Leave, Meter, Residents, Stay
from operators.user import UserOutput
from wire.clock import AT_ONCE
from wire.reason import Reason
from wire.sample import SampleRecord

MOST_WAITING = 64  # samples of one item, 20 kB: of more, the newest, as the pool would keep
STAY = Stay(most=1_000_000, idle_ms=1 << 62)  # items of one worker; 1 kB each while their samples wait


class _AtRest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    item: int
    takers: list[int]
    enough: bool
    waiting: list[SampleRecord]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_AtRest)


class Audience:
    """One item's: who took it so far, until they are enough, and its samples that wait for that."""

    __slots__ = ("_takers", "enough", "item", "waiting")

    def __init__(self, item: int) -> None:
        self.item = item
        self._takers: set[int] = set()
        self.enough = False
        self.waiting: list[SampleRecord] = []

    def overdue(self, min_users: int) -> bool:
        """Whether samples wait that so many users let go on."""
        return bool(self.waiting) and len(self._takers) >= min_users

    def admit(self, samples: Sequence[SampleRecord], min_users: int) -> Sequence[SampleRecord]:
        """Those of these samples, and of the waiting ones, that go on."""
        if self.enough:
            return samples
        self._takers.update(sample.user for sample in samples if sample.label)
        self.waiting.extend(samples)
        if len(self._takers) < min_users:
            self._forget()
            return []
        going, self.waiting = self.waiting, []
        self.enough = True
        self._takers.clear()
        return going

    def snapshot(self) -> bytes:
        """The state, saved at once: Bytewax may pickle what it is given only after the next sample."""
        return _encoder.encode(_AtRest(self.item, sorted(self._takers), self.enough, self.waiting))

    @classmethod
    def restore(cls, raw: bytes) -> "Audience":
        """The state that `snapshot` gave."""
        rest, audience = _decoder.decode(raw), cls.__new__(cls)
        audience.item = rest.item
        audience._takers, audience.enough, audience.waiting = set(rest.takers), rest.enough, rest.waiting
        return audience

    def _forget(self) -> None:
        """Let the oldest go where too many wait."""
        if (left := len(self.waiting) - MOST_WAITING) > 0:
            self.waiting.sort(key=lambda sample: (sample.timestamp, sample.sample))
            del self.waiting[:left]


class Through(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Enough users took this item."""

    item: int


class AudienceLogic(StatefulBatchLogic[SampleRecord | Leave, UserOutput | Through, bytes]):
    """`Audience` in a dataflow; all items of a worker are its `residents`, and by item the keys of those `through`."""

    def __init__(
        self, saved: bytes | None, min_users: int, residents: Residents, through: dict[int, str], metrics: Metrics
    ) -> None:
        self._audience = None if saved is None else Audience.restore(saved)
        self._min_users, self._residents, self._through, self._metrics = min_users, residents, through, metrics
        if self._audience is not None:
            residents.restored(str(self._audience.item), 0)
            self._metrics.samples_waiting.inc(len(self._audience.waiting))
            self._look(self._audience)

    def on_batch(self, values: list[SampleRecord | Leave]) -> tuple[list[UserOutput | Through], bool]:
        """Take samples of one item, or let go of one that has not come back.

        Whoever sends samples of an item that is through has not heard of it yet.
        """
        samples = [value for value in values if not isinstance(value, Leave)]
        if not samples:
            return [], self._leave()
        if self._audience is None:
            self._audience = Audience(samples[0].item)
        self._residents.active(str(self._audience.item), 0)
        return self._admit(self._audience, samples), self.RETAIN

    def on_notify(self) -> tuple[list[UserOutput | Through], bool]:
        """What waited for more users than it takes goes on."""
        assert self._audience is not None, "who has no state is not notified"
        return self._admit(self._audience, []), self.RETAIN

    def notify_at(self) -> datetime | None:
        """At once, where a restart asks for fewer users."""
        overdue = self._audience is not None and self._audience.overdue(self._min_users)
        return AT_ONCE if overdue else None

    def snapshot(self) -> bytes:
        """The state, saved."""
        assert self._audience is not None, "a key without a value has no state"
        return self._audience.snapshot()

    def _admit(self, audience: Audience, samples: Sequence[SampleRecord]) -> list[UserOutput | Through]:
        before = len(audience.waiting)
        going = audience.admit(samples, self._min_users)
        waiting = len(audience.waiting)
        self._look(audience)
        self._metrics.samples_waiting.inc(waiting - before)
        if forgotten := before + len(samples) - len(going) - waiting:
            self._metrics.rejected.labels(Reason.RARE).inc(forgotten)
        return [UserOutput([], [], [], 0, list(going)), Through(audience.item)] if going else []

    def _look(self, audience: Audience) -> None:
        """From now on the item's samples need not come here, once enough users took it."""
        if audience.enough:
            self._through[audience.item] = str(audience.item)

    def _leave(self) -> bool:
        """Let go of the item, unless it has come back meanwhile."""
        if self._audience is None:
            return self.DISCARD
        if str(self._audience.item) in self._residents:
            return self.RETAIN
        self._through.pop(self._audience.item, None)
        if left := len(self._audience.waiting):
            self._metrics.samples_waiting.dec(left)
            self._metrics.rejected.labels(Reason.RARE).inc(left)
        return self.DISCARD


class Heard(StatefulBatchLogic[list[int], Never, None]):
    """A worker hears which items are through, of all workers; it has no state, for whoever does not know is told again.

    Where `items` are too many all are forgotten: those of the worker's own are known all the same.
    """

    def __init__(self, items: set[int]) -> None:
        self._items = items

    def on_batch(self, values: list[list[int]]) -> tuple[list[Never], bool]:
        """Note them."""
        if len(self._items) >= STAY.most:
            self._items.clear()
        self._items.update(*values)
        return [], self.DISCARD

    def snapshot(self) -> None:
        """Nothing."""


def audience_step(
    step_id: str, up: KeyedStream[UserOutput], min_users: int, workers: int, *, metrics: Metrics
) -> KeyedStream[UserOutput]:
    """`up` without the samples that wait, and with those that do no more; queries pass. With 1, nothing waits."""
    residents, through, heard = Residents(STAY, Meter.of_items(metrics)), dict[int, str](), set[int]()
    metrics.samples_waiting.set(0)  # saved states count theirs, also where a process begins anew
    if min_users == 1:
        nothing: KeyedStream[SampleRecord | Leave] = op.flat_map_batch(f"{step_id}_asking", up, lambda _: [])
        waited: Any = op.stateful_batch(
            step_id, nothing, lambda saved: AudienceLogic(saved, min_users, residents, through, metrics)
        )
        return op.merge(f"{step_id}_merged", up, op.flat_map_batch(f"{step_id}_admitted", waited, _outputs))

    def split(outputs: Iterable[tuple[str, UserOutput]]) -> list[tuple[str, UserOutput | SampleRecord | Leave]]:
        """What passes by, keyed by user as it came, and what has to ask, keyed by item: decided here alone."""
        passing: list[tuple[str, UserOutput]] = []
        asking: list[tuple[str, SampleRecord]] = []
        for user, output in outputs:
            known = []
            for sample in output.samples:
                if (item := through.get(sample.item)) is not None:
                    residents.active(item, 0)
                    known.append(sample)
                elif sample.item in heard:
                    known.append(sample)
                else:
                    asking.append((str(sample.item), sample))
            if known or output.queries:
                passing.append((user, UserOutput(known, output.queries, [], 0)))
        return [*passing, *residents.with_leaving(asking, 0)]

    def told(came: Iterable[tuple[str, UserOutput | Through]]) -> list[tuple[str, list[int]]]:
        """What is through, to every worker, where there are others."""
        items = list({one.item for _, one in came if isinstance(one, Through)})
        return [(worker_key(worker, workers), items) for worker in range(workers)] if items and workers > 1 else []

    parted: Any = op.flat_map_batch(f"{step_id}_split", up, split)
    passing: KeyedStream[UserOutput] = op.flat_map_batch(f"{step_id}_passing", parted, _outputs)
    asking: KeyedStream[SampleRecord | Leave] = op.flat_map_batch(f"{step_id}_asking", parted, _asking)
    answered: Any = op.stateful_batch(
        step_id, asking, lambda saved: AudienceLogic(saved, min_users, residents, through, metrics)
    )
    op.stateful_batch(f"{step_id}_heard", op.flat_map_batch(f"{step_id}_told", answered, told), lambda _: Heard(heard))
    admitted: KeyedStream[UserOutput] = op.flat_map_batch(f"{step_id}_admitted", answered, _outputs)
    return op.merge(f"{step_id}_merged", passing, admitted)


def _outputs(parted: Iterable[tuple[str, Any]]) -> list[tuple[str, UserOutput]]:
    return [(key, value) for key, value in parted if isinstance(value, UserOutput)]


def _asking(parted: Iterable[tuple[str, Any]]) -> list[tuple[str, SampleRecord | Leave]]:
    return [(key, value) for key, value in parted if not isinstance(value, UserOutput)]
