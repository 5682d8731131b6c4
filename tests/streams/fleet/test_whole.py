"""One result of several processes."""

from pathlib import Path

import msgspec
import pytest

from device_sim.one_of import all_of
from streams.fleet.account import FILE, Account
from streams.fleet.drop import DropAccount
from streams.fleet.whole import NoResult, check_folders, whole_result
from tests.streams.fleet.told import told
from wire.errors import InputError


def account(
    events: int, devices: int, *, connected_s: float | None = None, task: int | None = 1, arms: tuple[str, ...] = ()
) -> Account:
    drop = DropAccount(share=0.5, lasts_s=10, began=True, ended=True, devices=devices, cut=1, connected_s=connected_s)
    return Account(
        events=events,
        bytes_up=[10] * devices,
        bytes_down=[20] * devices,
        bytes_stored=[30] * devices,
        outcomes={"trainings": {"accepted": devices}, "events": {"malformed": 1}},
        arms=arms,
        model_version=task,
        task_version=task,
        drop=drop,
    )


def left_behind(out: Path, *accounts: Account) -> None:
    for one, each in zip(all_of(len(accounts)), accounts, strict=True):
        one.folder(out).mkdir(parents=True)
        (one.folder(out) / FILE).write_bytes(msgspec.json.encode(each))


def test_accounts_add_up(tmp_path: Path) -> None:
    newest = account(7, 3, connected_s=2.0, task=2, arms=("cloud", "local"))
    left_behind(tmp_path, account(5, 2, connected_s=3.0, arms=("cloud",)), newest)
    result = whole_result(told(tmp_path, processes=2))
    assert (result["devices"], result["events"], result["task_version"]) == (5, 12, 2)
    assert result["outcomes"] == {"events": {"malformed": 2}, "trainings": {"accepted": 5}}
    assert result["device_cost"]["bytes_up"] == {"count": 5, "p50": 10.0, "p99": 10.0, "sum": 50.0}
    assert result["arms"].keys() == {"cloud", "local"}
    drop = result["drop"]
    assert (drop["devices"], drop["cut"], drop["connected_s"], drop["delivered_s"]) == (5, 2, 3.0, None)


def test_before_the_first_task_there_is_a_result_too(tmp_path: Path) -> None:
    left_behind(tmp_path, account(0, 0, task=None, arms=("cloud",)), account(0, 0, task=None, arms=("cloud",)))
    assert whole_result(told(tmp_path, processes=2))["model_version"] is None


def test_without_the_account_of_a_process_there_is_no_result(tmp_path: Path) -> None:
    left_behind(tmp_path, account(5, 2), account(7, 3))
    (tmp_path / "process-1-of-2" / FILE).unlink()
    with pytest.raises(NoResult, match="process 1 did not end in order"):
        whole_result(told(tmp_path, processes=2))


@pytest.mark.parametrize("left", ["state/fleet.sqlite", "predictions.parquet", "state/process-3-of-4"])
def test_what_another_number_of_processes_left_behind_is_not_gone_on_with(tmp_path: Path, left: str) -> None:
    (tmp_path / left).mkdir(parents=True)
    with pytest.raises(InputError, match="give as many, or another --state and --out"):
        check_folders(told(tmp_path, processes=2))
