"""Who trains next, and with whom."""

from device_sim.device import Device
from device_sim.due import ON_TIME_MS, Due
from device_sim.instruction import Instruction, Train
from device_sim.window import Window
from tests.device_sim.world import raw_batch
from wire.batch import decode_packed
from wire.identity import ModelId
from wire.moments import EventMs
from wire.task import Task

TASK = Task(task_version=1)
DAY_MS = 86_400_000
OLD, NEW = ModelId("line", 1), ModelId("line", 2)


def device(user_id: str, *, model: ModelId = NEW, new_samples: int = 1, batch_since_ms: int | None = 0) -> Device:
    """One with a batch, unless that is of no time."""
    made = Device(user_id)
    made.model, made.task, made.new_samples = model, TASK, new_samples
    if batch_since_ms is not None:
        made.batch, made.batch_since_ms = decode_packed(raw_batch(user_id, 0)), batch_since_ms
    return made


def trainings(*devices: Device, now_ms: int = 0, limit: int = 32, unwilling: str = "", away: str = "") -> list[str]:
    """Who makes up the first group of those that asked in this order."""
    by_user = {d.user_id: d for d in devices}
    window = Window(1, 1)

    def slot(user_id: str) -> list[Instruction]:
        if user_id == unwilling:
            return []
        return [Train(window.rows(), window.unencoded(), None, TASK, by_user[user_id].model, EventMs(0))]

    def shows(user_id: str) -> int:
        return now_ms + DAY_MS * (user_id == "ahead")

    return [user_id for user_id, _ in Due(by_user).take(by_user, slot, shows, limit, away.__ne__)]


def test_who_may_not_train_now_keeps_its_place() -> None:
    assert trainings(device("a"), device("b"), device("c"), away="b") == ["a", "c"]
    due = Due(["a", "b"])
    by_user = {user: device(user) for user in ("a", "b")}
    due.take(by_user, lambda _: [], lambda _: 0, 32, "b".__ne__)
    assert list(due) == ["b"]


def test_who_was_used_goes_first_then_who_asked_first() -> None:
    assert trainings(device("idle", new_samples=0), device("b"), device("a")) == ["b", "a", "idle"]


def test_whose_batch_is_new_goes_first_in_order_then_the_newest_of_those_that_are_late() -> None:
    older, old, first, second = (
        device(name, batch_since_ms=at) for name, at in (("older", 1), ("old", 2), ("a", 9), ("b", 8))
    )
    assert trainings(older, old, first, second, now_ms=8 + ON_TIME_MS) == ["a", "b", "old", "older"]
    idle, none = device("idle", new_samples=0, batch_since_ms=9), device("none", batch_since_ms=None)
    assert trainings(idle, old, none, now_ms=8 + ON_TIME_MS) == ["none", "old", "idle"]


def test_a_clock_that_is_wrong_makes_nobody_late() -> None:
    ahead, old = device("ahead", batch_since_ms=DAY_MS + 9), device("old", batch_since_ms=2)
    assert trainings(old, ahead, now_ms=8 + ON_TIME_MS) == ["ahead", "old"]


def test_a_group_is_of_one_model_and_no_larger_than_its_limit() -> None:
    assert trainings(device("a"), device("old", model=OLD), device("b"), device("c"), limit=2) == ["a", "b"]


def test_who_does_not_want_its_slot_leaves_it_to_the_next() -> None:
    assert trainings(device("a"), device("b"), unwilling="a", limit=1) == ["b"]


def test_who_asks_twice_keeps_its_place_and_who_is_gone_is_forgotten() -> None:
    due = Due("abc")
    due.add("a")
    due.discard("b")
    assert list(due) == ["a", "c"]
