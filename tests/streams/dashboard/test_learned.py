"""What a device's page says of what it learned, and why it says nothing."""

import os
from pathlib import Path

import msgspec
import pytest

from device_sim.taste import Taste
from streams.dashboard.learned import FleetFolder, words
from streams.fleet.taste_file import FILE
from wire.errors import InputError

CATEGORIES = [("dairy", 0.7), ("fruit", 0.5), ("meat", -0.7)]
ANN = Taste(3, 1200, [("oat milk", "dairy", 1.2)], CATEGORIES, [("milk", "dairy", 9), ("bread", "bakery", 4)])


def test_a_taste_is_said_in_words() -> None:
    assert words(ANN) == [
        "comes back to milk (dairy; taken 9 times) and bread (bakery; taken 4 times)",
        "likes dairy (odds × 2.0) and fruit (odds × 1.6) more than others",
        "cares for meat (odds ÷ 2.0) less than others",
        "of single items likes oat milk (dairy; odds × 3.3) more than others",
        "learned from 1,200 own samples, beside version 3 of the cloud model",
    ]


def test_where_nothing_stands_out_it_says_so() -> None:
    assert words(Taste(1, 20, [], [], []))[0] == "nothing that stands out"


def test_a_page_says_what_the_file_says_now(tmp_path: Path) -> None:
    folder = FleetFolder(tmp_path)
    assert "before it has trained" in folder.words("ann")[0], "a fleet that has just begun has no file"
    file = tmp_path / FILE
    for n, taste in enumerate((ANN, Taste(4, 1300, [], [], []))):
        file.write_bytes(msgspec.json.encode({"ann": taste}))
        os.utime(file, ns=(n + 1, n + 1))
        assert folder.words("ann") == words(taste)
    assert "before it has trained" in folder.words("bob")[0]


def test_a_damaged_file_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"{")
    assert "cannot be read" in FleetFolder(tmp_path).words("ann")[0]


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder: give the --state"):
        FleetFolder(tmp_path / "nowhere")
