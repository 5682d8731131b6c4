from pathlib import Path
from typing import Any

import pytest

from streams.cli import run
from streams.flow.settings import FlowSettings
from streams.flow.state import prepare_state
from streams.home import FILE
from wire.errors import InputError


def settings(**changes: Any) -> FlowSettings:
    return FlowSettings(bootstrap="127.0.0.1:9092", pool="pool", state="state", **changes)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--shards", "-1"), "for --shards. Must be >= 0"),
        (("--match-every", "0"), "for --match-every. Must be >= 1"),
        (("--candidates", "1"), "for --candidates. Must be >= 2"),
        (("--epoch", "1ms"), "--epoch is 1ms: give it at least 10ms"),
        (("--freshness-budget", "0s"), "--freshness-budget: 0s is no time at all"),
        (("--pool-age", "-1d"), "--pool-age: '-1d' is no duration"),
        (("--processes", "3", "--shards", "2"), "leaves a process without a shard"),
        (("--shards", "4", "--pool-count", "3"), "leaves a shard without a sample: give --pool-count 4 or more"),
        (("--processes", "9", "--shards", "9"), "Give 8 processes in all or, with a new --pool, --shards 23"),
        (("--hosts", "a:1,b:1", "--host", "0", "--shards", "1"), "--processes 1 on 2 hosts with --shards 1 leaves"),
        (("--hosts", "a:1,b:1", "--host", "2"), "--host is 2: it says which of them this is, 0 to 1"),
        (("--hosts", "a:1,b:1"), "there is no --host"),
        (("--host", "1"), "--host 1 says which of --hosts this is: give --hosts, too"),
    ],
)
def test_settings_that_make_no_sense_are_told(
    flags: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["flow", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_shards_share_the_window_by_count_and_not_by_age() -> None:
    spec = settings(shards=3, window_count=1000, window_days=2).pool_spec
    assert spec.window_count == 333 and spec.window_age_ms == 2 * 86_400_000


def test_times_become_milliseconds() -> None:
    rules = settings(freshness_budget_s=1.5, lateness_s=2).checked().rules
    assert (rules.match_every, rules.freshness_budget_ms, rules.lateness_ms) == (20, 1500, 2000)


def test_a_state_is_made_once_and_never_among_other_files(tmp_path: Path) -> None:
    prepare_state(tmp_path / "a" / "state")
    (tmp_path / "a" / "state" / FILE).write_text("which Kafka, as every start notes")
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "a" / "state").iterdir()}
    prepare_state(tmp_path / "a" / "state")
    assert made == {path: path.stat().st_mtime_ns for path in (tmp_path / "a" / "state").iterdir()}
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "letter").write_text("dear")
    with pytest.raises(InputError, match="--state"):
        prepare_state(tmp_path / "b")
