"""How a fleet's processes share out what there is: nobody lost, nobody twice."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim.one_of import OneOf, all_of, check_folder, check_partitions
from wire.errors import InputError

SHARED_EVENLY = st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8))


@given(st.integers(1, 12), st.integers(0, 10_000))
def test_every_device_has_a_process_and_no_process_has_many_more_than_another(processes: int, devices: int) -> None:
    parts = [one.part(devices) for one in all_of(processes)]
    assert sum(parts) == devices and max(parts) - min(parts) <= 1


@given(SHARED_EVENLY, st.integers(0, 1 << 31))
def test_a_user_stays_with_its_process_when_partitions_are_added(shape: tuple[int, int, int], key: int) -> None:
    processes, before, after = shape[0], shape[0] * shape[1], shape[0] * (shape[1] + shape[2])
    (had,), (has,) = ([one for one in all_of(processes) if one.has(key % n)] for n in (before, after))
    assert had == has


@pytest.mark.parametrize("processes", [3, 5, 8])
def test_processes_that_cannot_share_evenly_are_refused(processes: int) -> None:
    with pytest.raises(InputError, match=f"--processes {processes} .* 4 partitions of events evenly: give 1, 2 or 4"):
        check_partitions("events", 4, processes)
    check_partitions("events", 4, 2)


def test_folders_of_another_number_of_processes_are_refused(tmp_path: Path) -> None:
    check_folder(tmp_path, 3, alone=("fleet.sqlite",))
    (tmp_path / "fleet.sqlite").touch()
    check_folder(tmp_path, 1, alone=("fleet.sqlite",))
    with pytest.raises(InputError, match="is of a fleet of --processes 1,"):
        check_folder(tmp_path, 2, alone=("fleet.sqlite",))
    (tmp_path / "fleet.sqlite").unlink()
    OneOf(1, 2).folder(tmp_path).mkdir()
    check_folder(tmp_path, 2, alone=("fleet.sqlite",))
    for other in (1, 4):
        with pytest.raises(InputError, match=r"is of a fleet of --processes 2,.*give as many, or another --state"):
            check_folder(tmp_path, other, alone=("fleet.sqlite",))
