"""What a device is said to have learned is what its user does: a planted taste is found, by name, strongest first."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from device_sim.fleet import Fleet
from device_sim.learned import FEW, Learned
from device_sim.stimulus import OwnEvent
from device_sim.taste import Taste
from tests.device_sim.world import CATEGORIES, ITEMS, TASK, cpu_s, fleet
from wire.event import Event
from wire.ids import item_key
from wire.task import Task

NAMES = {item_key(name): name for name in (*ITEMS, *CATEGORIES)}
LOVED, DISLIKED = "c1", "c2"
RETURNING = msgspec.structs.replace(TASK, repeats={"taken": 1.0, "times": 0.5})


def meets(n: int) -> Event:
    """The n-th thing that a user meets who takes all of one category, none of another, and of the rest every other."""
    item = n % 40
    category = CATEGORIES[item % 4]
    takes: Literal[0, 1] = 1 if category == LOVED else 0 if category == DISLIKED else (1 if item % 8 < 4 else 0)
    return Event(f"e{n}", "ann", ITEMS[item], category, "view", takes, 1_000_000 + 60_000 * n)


def lived(events: int = 160, task: Task = TASK) -> Fleet:
    """A fleet of one device whose user met so many things."""
    made = fleet(task=task)
    for n in range(0, events, 10):
        made.handle_events([OwnEvent(meets(n + i), 0) for i in range(10)], 0)
        made.train_due(0, cpu_s)
    return made


def taste_of(made: Fleet, names: Mapping[int, str] = NAMES) -> Taste:
    learned = Learned.of(made, "ann")
    assert learned is not None
    return learned.taste(names)


def test_the_category_that_a_user_loves_is_said_to_be_liked_and_the_one_they_pass_over_is_not() -> None:
    taste = taste_of(lived())
    weight = dict(taste.categories)
    assert weight[LOVED] > 0 > weight[DISLIKED]
    assert weight[LOVED] == max(weight.values()) and weight[DISLIKED] == min(weight.values())
    assert (taste.version, taste.samples) == (1, 160)


def test_the_strongest_come_first_and_few_of_either_side_are_told() -> None:
    weights = [weight for _, _, weight in taste_of(lived()).items]
    liked, disliked = [w for w in weights if w > 0], [w for w in weights if w < 0]
    assert weights == sorted(liked, reverse=True) + sorted(disliked)
    assert len(liked) == len(disliked) == FEW


def test_an_item_is_come_back_to_where_repeats_speak_for_it_and_not_where_people_want_news() -> None:
    returns = taste_of(lived(task=RETURNING)).returns
    takes = {(event.item_id, event.category_id) for event in map(meets, range(40)) if event.label}
    assert len(returns) == FEW and {(item, category) for item, category, _ in returns} <= takes
    assert {times for _, _, times in returns} == {4}
    news = msgspec.structs.replace(TASK, task_version=2, repeats={"taken": -1.0})
    assert taste_of(lived(task=news)).returns == []


def test_what_has_no_name_is_left_out() -> None:
    taste = taste_of(lived(task=RETURNING), {item_key(LOVED): LOVED})
    assert [name for name, _ in taste.categories] == [LOVED]
    assert taste.items == taste.returns == []


def test_a_device_without_a_head_of_its_own_has_no_taste() -> None:
    made = fleet()
    made.handle_events([OwnEvent(meets(0), 0)], 0)
    assert Learned.of(made, "ann") is None
