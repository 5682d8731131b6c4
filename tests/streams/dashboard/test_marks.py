"""What a timeline marks, once each: what was so when it began is no news."""

from streams.dashboard.marks import Happenings
from streams.watch.fold import Fold
from tests.streams.watch.statuses import status
from wire.status import Role


def marks(*seconds: dict[str, dict[str, float]], boots: dict[int, int] | None = None) -> list[tuple[int, str]]:
    """When what was marked, of a process whose values are these, a second each; `boots` are its restarts."""
    fold, happenings, found = Fold(), Happenings(), []
    boot = 0
    for second, values in enumerate(seconds, 1):
        boot = (boots or {}).get(second, boot)
        fold.take(status(Role.CHAOS, "storm", at_s=second, boot=boot, values=values), second * 1000)
        found += [(second, mark.what) for mark in happenings.of(fold.picture(second * 1000))]
    return found


def faults(begun: int, over: int, name: str = "down") -> dict[str, dict[str, float]]:
    label = f"fault={name}"
    return {"coda_faults_begun_total": {label: begun}, "coda_faults_over_total": {label: over}}


def test_a_fault_is_marked_when_it_begins_and_when_it_is_over() -> None:
    assert marks({}, faults(1, 0), faults(1, 0), faults(1, 1), faults(1, 1)) == [(2, "down"), (4, "down is over")]


def test_a_fault_that_comes_in_waves_is_one() -> None:
    assert marks({}, faults(1, 0), faults(3, 1), faults(3, 2), faults(3, 3)) == [(2, "down"), (5, "down is over")]


def test_a_fault_shorter_than_a_second_is_one_mark() -> None:
    assert marks({}, faults(1, 1, "kill flow"), faults(2, 2, "kill flow")) == [(2, "kill flow"), (3, "kill flow")]


def test_models_tasks_and_restarts_are_marked_when_they_are_new() -> None:
    def versions(model: float, task: float) -> dict[str, dict[str, float]]:
        return {"coda_model_version": {"": model}, "coda_task_version": {"": task}}

    told = marks(versions(4, 1), versions(4, 2), versions(5, 2), versions(5, 2), boots={4: 3500})
    assert told == [(2, "task v2"), (3, "cloud model v5"), (4, "chaos/storm starts again")]
