from pathlib import Path

import pytest

from monitor.metrics import Metrics
from streams.training.fleet_reports import FleetReports
from streams.training.task_desk import TaskDesk, read_task
from tests.wire.reports import training
from wire.errors import InputError
from wire.moments import WallMs
from wire.signing import new_keys, open_task
from wire.task import CLASSIFIER_STEPS, Kind, Task

PRIVATE, PUBLIC = new_keys()
PRIOR = {"cloud": -0.2, "local": 0.0}
REPEATS = {"taken": 0.5}
VARIANCES: dict[Kind, float] = {"category": 0.4}
NOW = WallMs(10**12)
SILENCE = FleetReports(Metrics())
OLD, NEW = "00000000000000aa", "00000000000000bb"


def reported() -> FleetReports:
    reports = FleetReports(Metrics())
    reports.add(training("ann", 5, 1.0), NOW)
    return reports


def test_versions_count_up_and_nothing_new_makes_no_task() -> None:
    desk = TaskDesk(Task(task_version=0, retrain_every=30), PRIVATE, None)
    first = desk.issue(SILENCE, "")
    assert first is not None and open_task(first, PUBLIC) == Task(task_version=1, retrain_every=30)
    assert desk.issue(SILENCE, "") is None
    second = desk.issue(reported(), "")
    assert second is not None
    assert open_task(second, PUBLIC) == reported().taught(Task(task_version=2, retrain_every=30))
    assert desk.issue(reported(), "") is None


def test_a_restart_keeps_what_was_published_of_the_fleet_until_devices_report() -> None:
    published = Task(task_version=7, head_prior=PRIOR, repeats=REPEATS, variances=VARIANCES)
    desk = TaskDesk(Task(task_version=0), PRIVATE, published)
    assert desk.issue(SILENCE, "") is None
    changed = TaskDesk(Task(task_version=0, retrain_every=9), PRIVATE, published)
    signed = changed.issue(SILENCE, "")
    assert signed is not None
    assert open_task(signed, PUBLIC) == Task(
        task_version=8, retrain_every=9, head_prior=PRIOR, repeats=REPEATS, variances=VARIANCES
    )


def test_what_one_lineage_taught_is_not_said_of_another() -> None:
    published = Task(task_version=7, lineage=OLD, head_prior=PRIOR, repeats=REPEATS, variances=VARIANCES)
    signed = TaskDesk(Task(task_version=0), PRIVATE, published).issue(SILENCE, NEW)
    assert signed is not None and open_task(signed, PUBLIC) == Task(task_version=8, lineage=NEW)


def test_a_task_file_overrides_defaults(tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text('{"retrain_every": 20, "rollout_percent": 10}')
    assert read_task(tmp_path / "task.json") == Task(task_version=0, retrain_every=20, rollout_percent=10)
    assert read_task(None) == Task(task_version=0) and not read_task(None).classifier


def test_a_classifier_that_is_asked_for_is_in_any_task_with_the_steps_that_its_file_says(tmp_path: Path) -> None:
    assert read_task(None, classifier=True) == Task(task_version=0, classifier_steps=CLASSIFIER_STEPS)
    for steps, there in (("0", CLASSIFIER_STEPS), ("7", 7)):
        (tmp_path / "task.json").write_text(f'{{"classifier_steps": {steps}}}')
        assert read_task(tmp_path / "task.json", classifier=True).classifier_steps == there


@pytest.mark.parametrize(
    ("text", "what"),
    [('{"steps": 1}', "'steps'"), ('{"retrain_every": "many"}', "retrain_every"), ("[]", "cannot"), ("{", "cannot")],
)
def test_a_wrong_task_file_is_one_clear_line(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "task.json").write_text(text)
    with pytest.raises(InputError, match=what):
        read_task(tmp_path / "task.json")


def test_a_missing_task_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the task"):
        read_task(tmp_path / "none.json")
