from pathlib import Path

import pytest

from models.errors import InputError
from models.signing import new_keys, open_task
from models.task import Task
from streams.training.task_desk import TaskDesk, read_task

PRIVATE, PUBLIC = new_keys()
PRIOR = {"cloud": -0.2, "local": 0.0}


def test_versions_count_up_and_nothing_new_makes_no_task() -> None:
    desk = TaskDesk(Task(task_version=0, retrain_every=30), PRIVATE, None)
    first = desk.issue({})
    assert first is not None and open_task(first, PUBLIC) == Task(task_version=1, retrain_every=30)
    assert desk.issue({}) is None
    second = desk.issue(PRIOR)
    assert second is not None and open_task(second, PUBLIC) == Task(task_version=2, retrain_every=30, head_prior=PRIOR)


def test_a_restart_keeps_the_published_prior_until_devices_report() -> None:
    desk = TaskDesk(Task(task_version=0), PRIVATE, Task(task_version=7, head_prior=PRIOR))
    assert desk.issue({}) is None
    changed = TaskDesk(Task(task_version=0, retrain_every=9), PRIVATE, Task(task_version=7, head_prior=PRIOR))
    signed = changed.issue({})
    assert signed is not None and open_task(signed, PUBLIC) == Task(task_version=8, retrain_every=9, head_prior=PRIOR)


def test_a_task_file_overrides_defaults(tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text('{"retrain_every": 20, "rollout_percent": 10}')
    assert read_task(tmp_path / "task.json") == Task(task_version=0, retrain_every=20, rollout_percent=10)
    assert read_task(None) == Task(task_version=0)


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
