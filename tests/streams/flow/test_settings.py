from pathlib import Path
from typing import Any

import pytest

from streams.flow.settings import FlowSettings
from streams.flow.state import prepare_state
from wire.errors import InputError


def settings(**changes: Any) -> FlowSettings:
    return FlowSettings(bootstrap="127.0.0.1:9092", pool="pool", state="state", **changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"shards": 0}, "shards is 0"),
        ({"match_every": 0}, "match_every is 0"),
        ({"candidates": 1}, "candidates is 1"),
        ({"epoch_ms": 1}, "epoch_ms is 1"),
        ({"freshness_budget_s": 0.0}, "freshness_budget_s is 0"),
        ({"lateness_s": float("nan")}, "lateness_s is nan"),
        ({"window_days": -1.0}, "window_days is -1"),
        ({"processes": 3, "shards": 2}, "leaves a process without a shard"),
    ],
)
def test_settings_that_make_no_sense_are_told(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        settings(**changes).checked()


def test_shards_share_the_window_by_count_and_not_by_age() -> None:
    spec = settings(shards=3, window_count=1000, window_days=2).pool_spec
    assert spec.window_count == 334 and spec.window_age_ms == 2 * 86_400_000


def test_times_become_milliseconds() -> None:
    rules = settings(freshness_budget_s=1.5, lateness_s=2).checked().rules
    assert (rules.match_every, rules.freshness_budget_ms, rules.lateness_ms) == (20, 1500, 2000)


def test_a_state_is_made_once_and_never_among_other_files(tmp_path: Path) -> None:
    prepare_state(tmp_path / "a" / "state")
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "a" / "state").iterdir()}
    prepare_state(tmp_path / "a" / "state")
    assert made == {path: path.stat().st_mtime_ns for path in (tmp_path / "a" / "state").iterdir()}
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "letter").write_text("dear")
    with pytest.raises(InputError, match="--state"):
        prepare_state(tmp_path / "b")
