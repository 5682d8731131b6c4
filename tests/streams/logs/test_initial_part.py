from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from streams.cli import run
from streams.logs.initial_part import initial_samples
from wire.errors import InputError
from wire.ids import item_key

ROWS = "user_id,item_id,category_id,event_type,label,timestamp\n" + "".join(
    f"{user},{item},c,view,{label},{time}\n"
    for user, item, label, time in [
        ("ann", "a", 1, 10),
        ("ann", "b", 1, 20),
        ("bob", "a", 1, 20),
        ("ann", "c", 0, 20),
        ("ann", "d", 1, 30),
        ("bob", "a", 0, 40),
    ]
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log.csv").write_text(ROWS)
    return tmp_path / "log.csv"


def test_histories_are_strictly_earlier_positives_of_the_same_user(log: Path) -> None:
    block = initial_samples(log, 1.0)
    histories = [[k for k in row.tolist() if k] for row in block.history_item]
    a, b = item_key("a"), item_key("b")
    assert histories == [[], [a], [], [a], [b, a], [a]]
    assert block.times.tolist() == [0, 0, 0, 0, 0, 1]
    assert block.label.tolist() == [1, 1, 1, 0, 1, 0] and len(np.unique(block.sample)) == 6


def test_no_event_of_the_rest_shares_a_time_with_the_head(log: Path) -> None:
    assert initial_samples(log, 0.5).timestamp.tolist() == [10]
    assert initial_samples(log, 0.7).timestamp.tolist() == [10, 20, 20, 20]


@pytest.mark.parametrize("share", ["0", "1.5"])
def test_a_share_is_a_share(share: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train-cloud", "--initial-share", share]) == 2
    assert "for --initial-share" in capsys.readouterr().err


def test_an_empty_head_is_one_clear_line(log: Path) -> None:
    with pytest.raises(InputError, match="larger --initial-share"):
        initial_samples(log, 0.1)


def test_a_log_of_positives_is_said_to_be_one(log: Path) -> None:
    log.write_text("\n".join(line for line in ROWS.splitlines() if ",0," not in line))
    with capture_logs() as lines:
        initial_samples(log, 1.0)
    assert any("with --negatives 2" in str(line["event"]) for line in lines)


def test_a_log_without_a_positive_is_refused(log: Path) -> None:
    log.write_text(ROWS.replace(",view,1,", ",view,0,"))
    with pytest.raises(InputError, match="no event is a positive, so there is nothing to learn"):
        initial_samples(log, 1.0)
