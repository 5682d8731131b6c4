"""The items of one pool shard: whose samples wait for more users, whose are through, and what changed since they were
saved.

All of a shard's items are one key of the dataflow, and not a key each (`operators.saved_states`).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from monitor.metrics import Metrics
from operators.audience import Audience
from operators.residents import Residents, Stay
from operators.saved_states import SavedStates
from wire.reason import Reason
from wire.sample import SampleRecord

STAY = Stay(most=1_000_000, idle_ms=1 << 62)  # items of one shard; 1 kB each while their samples wait
Through = dict[int, dict[int, None]]  # the items of a worker that enough users took: where to note that one came again


class Admitted(NamedTuple):
    """Samples that go on, and their items."""

    samples: list[SampleRecord]
    items: list[int]


class ShardItems:
    """`Audience` for each item of a shard, as of `checkpoint` of `saved`; those that are `through` are known by that.

    Of more than may stay, those that came longest ago are let go; who comes again begins anew. Where fewer users are
    enough than were when they were saved, what waits for more of them is `overdue`.
    """

    def __init__(
        self,
        saved: SavedStates,
        checkpoint: int | None,
        min_users: int,
        *,
        residents: Residents[int],
        through: Through,
        metrics: Metrics,
    ) -> None:
        self._saved, self._min_users, self._residents = saved, min_users, residents
        self._through, self._metrics = through, metrics
        self._waiting: dict[int, Audience] = {}  # by item
        self._came: dict[int, None] = {}  # of those that are through, since they were saved
        self._changed: dict[int, Audience | None] = {}  # likewise; None of those that left
        for _, raw in saved.resume(checkpoint):
            self._restore(Audience.restore(raw))
        self._overdue = [item for item, audience in self._waiting.items() if audience.overdue(min_users)]

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._residents)

    @property
    def waiting(self) -> Iterable[Audience]:
        """Those that too few took, to be read."""
        return self._waiting.values()

    @property
    def overdue(self) -> bool:
        """Whether samples wait that need not."""
        return bool(self._overdue)

    def handle(self, samples: Iterable[SampleRecord]) -> Admitted:
        """Those of these samples, and of the waiting ones, that go on.

        Whoever sends samples of an item that is through has not heard of it yet.
        """
        by_item: dict[int, list[SampleRecord]] = {}
        for sample in samples:
            by_item.setdefault(sample.item, []).append(sample)
        for item in by_item:
            self._residents.active(item, 0)
        return self._admitted(by_item.items())

    def waited(self) -> Admitted:
        """What is overdue."""
        overdue, self._overdue = self._overdue, []
        return self._admitted((item, []) for item in overdue)

    def sync(self) -> int:
        """Let go of what has to leave, and save what changed; returns the checkpoint, which is the one before where
        nothing did."""
        for item in self._came:
            self._residents.active(item, 0)
        self._came.clear()
        for item in self._residents.leaving(0):
            self._leave(item)
        if self._changed:
            each = self._changed.items()
            changes = {str(item): None if audience is None else audience.snapshot() for item, audience in each}
            self._saved.save(changes, len(self))
            self._changed.clear()
        return self._saved.checkpoint

    def _restore(self, audience: Audience) -> None:
        self._residents.restored(audience.item, 0)
        if audience.enough:
            self._through[audience.item] = self._came
        else:
            self._waiting[audience.item] = audience
            self._metrics.samples_waiting.inc(len(audience.waiting))

    def _admitted(self, came: Iterable[tuple[int, Sequence[SampleRecord]]]) -> Admitted:
        admitted = Admitted([], [])
        for item, samples in came:
            if going := samples if item in self._through else self._take(item, samples):
                admitted.samples.extend(going)
                admitted.items.append(item)
        return admitted

    def _take(self, item: int, samples: Sequence[SampleRecord]) -> Sequence[SampleRecord]:
        """Those of an item that go on, which waits until then."""
        audience = self._waiting.get(item) or self._waiting.setdefault(item, Audience(item))
        before = len(audience.waiting)
        going = audience.admit(samples, self._min_users)
        self._count(before, len(audience.waiting), before + len(samples) - len(going))
        self._changed[item] = audience
        if audience.enough:
            del self._waiting[item]
            self._through[item] = self._came
        return going

    def _leave(self, item: int) -> None:
        self._through.pop(item, None)
        self._changed[item] = None
        if audience := self._waiting.pop(item, None):
            self._count(len(audience.waiting), 0, len(audience.waiting))

    def _count(self, before: int, waiting: int, kept: int) -> None:
        """So many of an item's samples wait that did before, and of those that were to be kept none but these."""
        self._metrics.samples_waiting.inc(waiting - before)
        if forgotten := kept - waiting:
            self._metrics.rejected.labels(Reason.RARE).inc(forgotten)
