"""The training task as it stands: read from a file, versioned, with what the fleet reported, signed (sans-I/O)."""

from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.training.fleet_reports import TAUGHT, FleetReports
from wire.errors import InputError
from wire.signing import sign_model, sign_task
from wire.task import CLASSIFIER_STEPS, Task


class TaskDesk:
    """Issues signed tasks. `current` is the newest one that devices may have, or None before the first."""

    def __init__(self, wanted: Task, private: Ed25519PrivateKey, current: Task | None) -> None:
        self._wanted = wanted
        self._private = private
        self.current = current

    def sign_model(self, message: bytes) -> bytes:
        """A cloud model's message as it travels, signed with the key that tasks are signed with."""
        return sign_model(message, self._private)

    def issue(self, reports: FleetReports, lineage: str) -> bytes | None:
        """The next task for devices with models of `lineage`, or None when it would say what the current one says.

        Without reports, what the current task says of the fleet stays, if it is of this lineage.
        """
        version = self.current.task_version if self.current else 0
        known = self.current if self.current and self.current.lineage == lineage else self._wanted
        said = {field: getattr(known, field) for field in TAUGHT}
        task = msgspec.structs.replace(self._wanted, task_version=version, lineage=lineage, **said)
        task = reports.taught(task)
        if task == self.current:
            return None
        self.current = msgspec.structs.replace(task, task_version=version + 1)
        return sign_task(self.current, self._private)


def read_task(path: Path | None, *, classifier: bool = False) -> Task:
    """The task in a JSON file of `Task` fields (default: all defaults), in any case with a sample classifier where that
    is asked for; raises `InputError`."""
    task = Task(task_version=0) if path is None else _task_in(path)
    steps = task.classifier_steps or CLASSIFIER_STEPS
    return msgspec.structs.replace(task, classifier_steps=steps) if classifier else task


def _task_in(path: Path) -> Task:
    try:
        fields: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        strangers = sorted(set(fields) - set(Task.__struct_fields__))
        if strangers:
            raise InputError(f"the task {path} has an unknown field {strangers[0]!r}; fields: {_FIELDS}")
        return msgspec.convert({**fields, "task_version": 0}, Task)
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"cannot read the task {path}: {error}") from error


_FIELDS = ", ".join(Task.__struct_fields__)
