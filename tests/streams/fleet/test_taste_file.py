"""Where a fleet's tastes are found."""

from pathlib import Path

import msgspec
import pytest

from device_sim.taste import Taste
from streams.fleet.taste_file import FILE, read_tastes, tastes_files


@pytest.mark.parametrize("place", [".", "fleet-state", "state"])
def test_the_folder_of_a_run_will_do(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    said = {"ann": Taste(1, 20, [("milk", "dairy", 0.5)], [], [])}
    (tmp_path / place / FILE).write_bytes(msgspec.json.encode(said))
    assert read_tastes(tastes_files(tmp_path)[0]) == said


def test_where_there_is_none_yet_nothing_is_known(tmp_path: Path) -> None:
    assert read_tastes(tastes_files(tmp_path)[0]) == {}


@pytest.mark.parametrize("place", [".", "fleet-state"])
def test_each_process_of_a_fleet_has_its_own(tmp_path: Path, place: str) -> None:
    for number in range(2):
        folder = tmp_path / place / f"process-{number}-of-2"
        folder.mkdir(parents=True)
        (folder / FILE).write_bytes(b"{}")
    assert [file.parent.name for file in tastes_files(tmp_path)] == ["process-0-of-2", "process-1-of-2"]
