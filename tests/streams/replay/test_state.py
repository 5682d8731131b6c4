from pathlib import Path

import pytest

from streams.replay.state import ReplayState, load_state, save_state
from wire.errors import InputError

IDENTITY = {"log": "a.csv-1", "topic": "events"}
STATE = ReplayState(IDENTITY, {"events": 5, "rejected": 1}, 1000)


def test_what_is_saved_is_what_is_loaded_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    assert load_state(path, IDENTITY) is None
    save_state(path, STATE)
    assert load_state(path, IDENTITY) == STATE
    assert list(path.parent.iterdir()) == [path]


def test_another_replays_state_is_not_resumed(tmp_path: Path) -> None:
    save_state(tmp_path / "s", STATE)
    with pytest.raises(InputError, match=r"another topic \(events, not behaviour\).*--fresh"):
        load_state(tmp_path / "s", {**IDENTITY, "topic": "behaviour"})


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"identity": {}}', b"\xff", b'{"x":' + b"[" * 100_000])
def test_a_damaged_state_is_said_in_one_line(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(raw)
    with pytest.raises(InputError, match="no state of a replay"):
        load_state(tmp_path / "s", IDENTITY)
