"""The audience step: a sample goes on to the pool once enough users took its item (`operators.audience`).

Users are counted per item and not per pool shard, which sees a part of the users only; so all items of a shard are one
key, on the worker of that shard. Once an item is through, all workers hear of it, and its samples pass by: to send each
to another worker costs more than most of what else is done with it. Where fewer users are enough than were when the
dataflow ran last, what waits for more of them goes on when it begins.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Never

import bytewax.operators as op
import msgspec
from bytewax.operators import KeyedStream, StatefulBatchLogic

from monitor.metrics import Metrics
from operators.packed import Packed
from operators.placement import shard_key, worker_key
from operators.saved_states import Saved
from operators.shard_items import STAY, Admitted, ShardItems, Through
from operators.user import UserOutput
from wire.clock import AT_ONCE
from wire.sample import SampleRecord

OpenItems = Callable[[int, int | None, Through], ShardItems]  # of a shard, as of a checkpoint, None of which are new


class Asking(Packed, frozen=True, array_like=True, gc=False):
    """Samples of items of one shard, which may have to wait."""

    shard: int
    samples: list[SampleRecord]


class Enough(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Enough users took these items."""

    items: list[int]


class AudienceLogic(StatefulBatchLogic[Asking, UserOutput | Enough, Saved]):
    """`ShardItems` in a dataflow, None before the first of them came; `through` are those of all of its worker."""

    def __init__(self, saved: Saved | None, open_items: OpenItems, through: Through) -> None:
        self._open_items, self._through = open_items, through
        self._shard = 0
        self.items: ShardItems | None = None
        if saved is not None:
            self._open(*saved)

    def on_batch(self, values: list[Asking]) -> tuple[list[UserOutput | Enough], bool]:
        """Take samples of the shard's items."""
        items = self._open(values[0].shard, None) if self.items is None else self.items
        return _given(items.handle(sample for value in values for sample in value.samples)), self.RETAIN

    def on_notify(self) -> tuple[list[UserOutput | Enough], bool]:
        """What waited for more users than it takes goes on."""
        assert self.items is not None, "only a shard with items is notified"
        return _given(self.items.waited()), self.RETAIN

    def notify_at(self) -> datetime | None:
        """At once, where a restart asks for fewer users."""
        return AT_ONCE if self.items is not None and self.items.overdue else None

    def snapshot(self) -> Saved:
        """The items are on disk when this returns; of them, only the checkpoint."""
        assert self.items is not None, "a key without a value has no state"
        return Saved(self._shard, self.items.sync())

    def _open(self, shard: int, checkpoint: int | None) -> ShardItems:
        self._shard = shard
        self.items = self._open_items(shard, checkpoint, self._through)
        return self.items


class Heard(StatefulBatchLogic[Enough, Never, None]):
    """A worker hears which items are through, of all workers; it has no state, for whoever does not know is told again.

    Where `items` are too many all are forgotten: those of the worker's own are known all the same.
    """

    def __init__(self, items: set[int]) -> None:
        self._items = items

    def on_batch(self, values: list[Enough]) -> tuple[list[Never], bool]:
        """Note them."""
        if len(self._items) >= STAY.most:
            self._items.clear()
        for value in values:
            self._items.update(value.items)
        return [], self.DISCARD

    def snapshot(self) -> None:
        """Nothing."""


def split(
    outputs: Iterable[tuple[str, UserOutput]], shards: int, through: Through, heard: set[int]
) -> list[tuple[str, UserOutput | Asking]]:
    """What passes by, keyed as it came, and what has to ask, keyed by its shard."""
    passing: list[tuple[str, UserOutput]] = []
    asking: list[list[SampleRecord]] = [[] for _ in range(shards)]
    for key, output in outputs:
        known = []
        for sample in output.samples:
            item = sample.item
            if (came := through.get(item)) is not None:
                came[item] = None
                known.append(sample)
            elif item in heard:
                known.append(sample)
            else:
                asking[item % shards].append(sample)
        if known or output.queries:
            passing.append((key, UserOutput(known, output.queries, [], 0)))
    return [*passing, *_asked(asking)]


def audience_step(
    step_id: str,
    up: KeyedStream[UserOutput],
    min_users: int,
    *,
    shards: int,
    workers: int,
    open_items: OpenItems,
    metrics: Metrics,
) -> KeyedStream[UserOutput]:
    """`up` without the samples that wait, and with those that do no more; queries pass. With 1, nothing waits."""
    through, heard = Through(), set[int]()
    metrics.samples_waiting.set(0)  # saved states count theirs, also where a process begins anew
    if min_users == 1:
        nothing: KeyedStream[Asking] = op.flat_map_batch(f"{step_id}_asking", up, lambda _: [])
        waited: Any = op.stateful_batch(step_id, nothing, lambda saved: AudienceLogic(saved, open_items, through))
        return op.merge(f"{step_id}_merged", up, op.flat_map_batch(f"{step_id}_admitted", waited, _outputs))

    def told(came: Iterable[tuple[str, UserOutput | Enough]]) -> list[tuple[str, Enough]]:
        """What is through, to every worker, where there are others."""
        items = [item for _, one in came if isinstance(one, Enough) for item in one.items]
        return [(worker_key(worker, workers), Enough(items)) for worker in range(workers)] if workers > 1 else []

    parted: Any = op.flat_map_batch(f"{step_id}_split", up, lambda outputs: split(outputs, shards, through, heard))
    passing: KeyedStream[UserOutput] = op.flat_map_batch(f"{step_id}_passing", parted, _outputs)
    asking: KeyedStream[Asking] = op.flat_map_batch(f"{step_id}_asking", parted, _asking)
    answered: Any = op.stateful_batch(step_id, asking, lambda saved: AudienceLogic(saved, open_items, through))
    op.stateful_batch(f"{step_id}_heard", op.flat_map_batch(f"{step_id}_told", answered, told), lambda _: Heard(heard))
    admitted: KeyedStream[UserOutput] = op.flat_map_batch(f"{step_id}_admitted", answered, _outputs)
    return op.merge(f"{step_id}_merged", passing, admitted)


def _given(admitted: Admitted) -> list[UserOutput | Enough]:
    return [UserOutput([], [], [], 0, admitted.samples), Enough(admitted.items)] if admitted.items else []


def _asked(asking: Sequence[list[SampleRecord]]) -> list[tuple[str, Asking]]:
    shards = len(asking)
    return [(shard_key(shard, shards), Asking(shard, samples)) for shard, samples in enumerate(asking) if samples]


def _outputs(parted: Iterable[tuple[str, Any]]) -> list[tuple[str, UserOutput]]:
    return [(key, value) for key, value in parted if isinstance(value, UserOutput)]


def _asking(parted: Iterable[tuple[str, Any]]) -> list[tuple[str, Asking]]:
    return [(key, value) for key, value in parted if isinstance(value, Asking)]
