"""What devices learned lies beside their state: who trained is in it, who is gone is not, and a restart goes on."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from device_sim.fleet import Fleet
from streams.fleet.errand import Errand
from streams.fleet.hands import Hands
from streams.fleet.names import Names
from streams.fleet.taste_file import FILE, read_tastes
from streams.fleet.tastes import AT_ONCE, Tastes
from tests.device_sim.world import CATEGORIES, ITEMS, cpu_s, fleet, own
from wire.errors import InputError


def trained(users: int, events: int = 24) -> Fleet:
    made = fleet(users)
    for n in range(users):
        made.handle_events(own(f"u{n}", 0, events), 0)
    made.train_due(0, cpu_s)
    return made


def names() -> Names:
    known = Names()
    known.hear([*ITEMS, *CATEGORIES])
    return known


def written(tastes: Tastes, times: int = 1) -> None:
    with ThreadPoolExecutor(1) as hand:
        for _ in range(times):
            errand = Errand(tastes.work(Hands(hand, hand, hand, cpu_s)))
            while not errand.step():
                pass


def test_every_device_that_trained_gets_there_a_few_at_a_time(tmp_path: Path) -> None:
    tastes = Tastes(tmp_path, trained(AT_ONCE + 5), names())
    written(tastes)
    assert len(read_tastes(tmp_path / FILE)) == AT_ONCE
    written(tastes)
    assert len(read_tastes(tmp_path / FILE)) == AT_ONCE + 5


def test_who_did_not_train_since_then_is_not_read_again(tmp_path: Path) -> None:
    made = trained(2)
    tastes = Tastes(tmp_path, made, names())
    written(tastes)
    (tmp_path / FILE).unlink()
    written(tastes)
    assert not (tmp_path / FILE).exists()
    made.handle_events(own("u1", 24, 24), 0)
    made.train_due(0, cpu_s)
    written(tastes)
    assert read_tastes(tmp_path / FILE)["u1"].samples == 48


def test_a_device_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    made = trained(2)
    tastes = Tastes(tmp_path, made, names())
    written(tastes)
    made.release("u0")
    made.handle_events(own("u1", 24, 24), 0)
    made.train_due(0, cpu_s)
    written(tastes)
    assert list(read_tastes(tmp_path / FILE)) == ["u1"]


def test_after_a_restart_the_names_of_what_stood_out_are_known(tmp_path: Path) -> None:
    made = trained(1)
    written(Tastes(tmp_path, made, names()))
    before = read_tastes(tmp_path / FILE)["u0"]
    written(Tastes(tmp_path, made, Names()))
    assert before.items and read_tastes(tmp_path / FILE)["u0"] == before


@pytest.mark.parametrize("content", [b"", b"[]", b'{"u0": 1}', b"\xff", b"[" * 100_000])
def test_a_damaged_file_is_one_line_and_is_written_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        read_tastes(tmp_path / FILE)
    with capture_logs() as said:
        tastes = Tastes(tmp_path, trained(1), names())
    assert len(said) == 1 and "cannot be read" in said[0]["event"]
    written(tastes)
    assert list(json.loads((tmp_path / FILE).read_bytes())) == ["u0"]
