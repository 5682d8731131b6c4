"""Who trains next, and with whom."""

from device_sim.device import Device
from device_sim.due import Due
from device_sim.instruction import Instruction, Train
from device_sim.window import Window
from wire.identity import ModelId
from wire.moments import EventMs
from wire.task import Task

TASK = Task(task_version=1)
OLD, NEW = ModelId("line", 1), ModelId("line", 2)


def device(user_id: str, *, model: ModelId = NEW, new_samples: int = 1, batch_since_ms: int = 0) -> Device:
    made = Device(user_id)
    made.model, made.task, made.new_samples, made.batch_since_ms = model, TASK, new_samples, batch_since_ms
    return made


def trainings(*devices: Device, limit: int = 32, unwilling: str = "", away: str = "") -> list[str]:
    """Who makes up the first group of those that asked in this order."""
    by_user = {d.user_id: d for d in devices}
    window = Window(1, 1)

    def slot(user_id: str) -> list[Instruction]:
        if user_id == unwilling:
            return []
        return [Train(window.rows(), window.unencoded(), None, TASK, by_user[user_id].model, EventMs(0))]

    return [user_id for user_id, _ in Due(by_user).take(by_user, slot, limit, away.__ne__)]


def test_who_may_not_train_now_keeps_its_place() -> None:
    assert trainings(device("a"), device("b"), device("c"), away="b") == ["a", "c"]
    due = Due(["a", "b"])
    by_user = {user: device(user) for user in ("a", "b")}
    due.take(by_user, lambda _: [], 32, "b".__ne__)
    assert list(due) == ["b"]


def test_who_was_used_goes_first_then_who_asked_first() -> None:
    assert trainings(device("idle", new_samples=0), device("b"), device("a")) == ["b", "a", "idle"]


def test_of_those_who_were_used_the_newest_batches_go_first_whoever_asked_before() -> None:
    old, new, idle = device("old", batch_since_ms=5), device("new", batch_since_ms=6), device("idle", new_samples=0)
    idle.batch_since_ms = 7
    assert trainings(old, idle, new) == ["new", "old", "idle"]


def test_a_group_is_of_one_model_and_no_larger_than_its_limit() -> None:
    assert trainings(device("a"), device("old", model=OLD), device("b"), device("c"), limit=2) == ["a", "b"]


def test_who_does_not_want_its_slot_leaves_it_to_the_next() -> None:
    assert trainings(device("a"), device("b"), unwilling="a", limit=1) == ["b"]


def test_who_asks_twice_keeps_its_place_and_who_is_gone_is_forgotten() -> None:
    due = Due("abc")
    due.add("a")
    due.discard("b")
    assert list(due) == ["a", "c"]
