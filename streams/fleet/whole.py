"""Several processes as one fleet: whose folders are whose, and one result of all of them at the end."""

from pathlib import Path
from typing import Any

import msgspec

from device_sim.one_of import all_of, check_folder
from device_sim.record import PARTS, PREDICTIONS, STATE, TRAININGS
from device_sim.scoreboard import compute_ms_of, put_together
from streams.fleet.account import FILE, Account
from streams.fleet.result import result_of
from streams.fleet.told import Told
from wire.errors import CodaError


class NoResult(CodaError):
    """A process did not end in order."""


def check_folders(told: Told) -> None:
    """Raise `InputError` where another number of processes has begun in these folders."""
    check_folder(Path(told.state), told.processes, alone=(STATE,))
    check_folder(told.out_folder, told.processes, alone=(PREDICTIONS, TRAININGS, PARTS))


def whole_result(told: Told) -> dict[str, Any]:
    """The result document, with the records of all processes as one file each; raises `NoResult`."""
    left = [str(number) for number, place in enumerate(_accounts(told)) if not place.exists()]
    if left:
        raise NoResult(
            f"the fleet has no result: process {' and '.join(left)} did not end in order, see the lines above; "
            "started again, all go on from their last snapshots"
        )
    accounts = [msgspec.json.decode(place.read_bytes(), type=Account) for place in _accounts(told)]
    newest = max(accounts, key=lambda account: account.task_version or 0)
    out = told.out_folder
    scores = put_together([one.folder(out) for one in all_of(told.processes)], out, newest.arms)
    return result_of(accounts, scores, compute_ms_of(out), base=told.base, seed=told.seed)


def _accounts(told: Told) -> list[Path]:
    return [one.folder(told.out_folder) / FILE for one in all_of(told.processes)]
