from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.metrics import Metrics
from operators.audience import MOST_WAITING
from operators.residents import Meter, Residents, Stay
from operators.saved_states import SavedStates
from operators.shard_items import Admitted, ShardItems
from streams.simulation.flow import SimulatedStates
from streams.simulation.memory_db import Disk
from tests.operators.in_memory import InMemory
from tests.operators.test_audience import sample
from wire.sample import SampleRecord


class World:
    """Items that are saved and come back."""

    def __init__(self, saved: SavedStates | None = None) -> None:
        self.saved = saved or InMemory()
        self.metrics = Metrics()
        self.through: dict[int, dict[int, None]] = {}

    def items(self, checkpoint: int | None = None, min_users: int = 3, most: int = 100) -> ShardItems:
        self.metrics, self.through = Metrics(), {}
        return ShardItems(
            self.saved,
            checkpoint,
            min_users,
            residents=Residents(Stay(most, 1 << 62), Meter.of_items(self.metrics, self.metrics.items.set)),
            through=self.through,
            metrics=self.metrics,
        )

    @property
    def waiting(self) -> float:
        return self.metrics.value(Metrics.samples_waiting)

    @property
    def rare(self) -> float:
        return self.metrics.value(Metrics.rejected, reason="rare")


def numbers(admitted: Admitted) -> list[int]:
    return [each.sample for each in admitted.samples]


def test_items_do_not_count_each_others_users_and_who_is_through_is_known() -> None:
    world = World()
    items = world.items()
    samples = [sample(n, n, item=1 + n % 2) for n in range(5)]
    assert items.handle(samples) == (samples[::2], [1])
    assert (list(world.through), world.waiting, len(items)) == ([1], 2, 2)
    assert items.handle([sample(6, 1, item=1)]) == ([sample(6, 1, item=1)], [1]), "who asks has not heard of it"


def test_of_many_that_wait_the_newest_stay_and_the_others_are_counted() -> None:
    world = World()
    items = world.items(min_users=2)
    for part in np.random.default_rng(0).permutation(200).reshape(4, 50).tolist():
        items.handle([sample(n, 1) for n in part])
    assert (world.waiting, world.rare) == (MOST_WAITING, 200 - MOST_WAITING)
    assert set(numbers(items.handle([sample(500, 2)]))) == {*range(200 - MOST_WAITING, 200), 500}
    assert world.rare == 200 - MOST_WAITING, "who goes on is not forgotten"


def test_only_what_changed_is_saved() -> None:
    saved: list[set[str]] = []

    class Noting(InMemory):
        def save(self, changes: Mapping[str, bytes | None], states: int) -> int:
            saved.append(set(changes))
            return super().save(changes, states)

    items = World(Noting()).items(min_users=2)
    items.handle([sample(1, 1, item=1), sample(2, 1, item=2)])
    assert items.sync() == 1
    items.handle([sample(3, 2, item=1)])
    assert items.sync() == 2
    items.handle([sample(4, 3, item=1)])
    assert items.sync() == 2, "that it is through, it was before"
    assert saved == [{"1", "2"}, {"1"}]


def test_what_waits_is_shown_also_after_a_restart() -> None:
    world = World()
    items = world.items()
    items.handle([sample(1, 1), sample(2, 2), *(sample(n, n, item=8) for n in range(3, 6))])
    again = world.items(items.sync())
    assert (world.waiting, list(world.through), len(again), again.overdue) == (2, [8], 2, False)
    assert numbers(again.handle([sample(9, 3)])) == [1, 2, 9]


def test_where_fewer_users_are_enough_what_waited_goes_on() -> None:
    world = World()
    items = world.items()
    items.handle([sample(1, 1, item=1), sample(2, 1, item=2), sample(3, 2, item=2), sample(4, 1, label=0, item=3)])
    again = world.items(items.sync(), min_users=2)
    assert again.overdue and again.waited() == ([sample(2, 1, item=2), sample(3, 2, item=2)], [2])
    assert not again.overdue and again.waited() == ([], []) and world.waiting == 2
    third = world.items(again.sync(), min_users=1)
    assert third.waited().items == [1], "nobody took the third"


def test_the_items_that_came_longest_ago_are_let_go_and_begin_anew() -> None:
    world = World()
    items = world.items(most=2)
    items.handle([sample(1, 1, item=1), sample(2, 2, item=1), sample(3, 1, item=2)])
    checkpoint = items.sync()
    items.handle([sample(4, 1, item=3)])
    assert (items.sync(), len(items)) == (checkpoint + 1, 2)
    assert (world.waiting, world.rare, world.metrics.value(Metrics.items_forgotten, reason="crowded")) == (2, 2, 1)
    again = world.items(checkpoint + 1, most=2)
    assert (len(again), world.waiting) == (2, 2)
    assert numbers(again.handle([sample(5, 3, item=1)])) == [], "nobody else took it, as far as is known"


def test_an_item_that_is_through_stays_while_its_samples_pass() -> None:
    world = World()
    items = world.items(min_users=1, most=2)
    items.handle([sample(1, 1, item=1), sample(2, 1, item=2)])
    world.through[1][1] = None  # a sample of the first passed
    items.handle([sample(3, 1, item=3)])
    items.sync()
    assert sorted(world.through) == [1, 3]


@pytest.mark.parametrize("stored", [InMemory, lambda: SimulatedStates(Disk(), 1).of(0).items])
@settings(max_examples=60)
@given(
    st.lists(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=4), max_size=20),
    st.lists(st.sampled_from(["batch", "batch", "batch", "sync", "last", "before"]), max_size=60),
)
def test_after_crashes_the_same_samples_go_on(
    stored: Callable[[], SavedStates], batches: list[list[tuple[int, int]]], plan: list[str]
) -> None:
    """What was read since the checkpoint comes again, as it does from Kafka; a pool takes nothing twice."""
    numbered = iter(range(1000))
    came = [[sample(next(numbered), user, item=item) for item, user in batch] for batch in batches]
    undisturbed = _pooled(World().items(), came)
    world = World(stored())
    items, at, pooled = world.items(), 0, set[SampleRecord]()
    checkpoints: list[tuple[int | None, int]] = [(None, 0)]  # and how far was read
    for act in plan:
        if act == "batch":
            pooled |= _pooled(items, came[at : at + 1])
            at = min(at + 1, len(came))
        elif act == "sync":
            checkpoints = [checkpoints[-1], (items.sync(), at)]
        else:
            checkpoints = [checkpoints[-1 if act == "last" else 0]]
            ((checkpoint, at),) = checkpoints
            items = world.items(checkpoint)
    assert pooled | _pooled(items, came[at:]) == undisturbed


def _pooled(items: ShardItems, came: list[list[SampleRecord]]) -> set[SampleRecord]:
    return {each for batch in came for each in items.handle(batch).samples}
