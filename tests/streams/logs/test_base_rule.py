import math
from pathlib import Path

import polars as pl
import pytest

from streams.logs.data import uniform_log
from streams.logs.event_log import EventLog, encode_events, load_log
from streams.logs.negatives import Sampling, add_negatives
from streams.logs.options import LogOptions
from wire.errors import InputError
from wire.event import MOST_LOG_ODDS, decode_event

SAID = LogOptions(column=("base=score",))


def log_of(folder: Path, scores: list[str], column: str = "score") -> Path:
    rows = [f"u{n},i{n},c,view,{n % 2},{10**12 + n},{score}" for n, score in enumerate(scores)]
    path = folder / "log.csv"
    path.write_text(f"user_id,item_id,category_id,event_type,label,timestamp,{column}\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("scores", "log_odds", "said"),
    [
        (["0.5", "0.75", ""], [0.0, math.log(3), None], "bases are chances from 0 to 1"),
        (["0", "1", "1e-3"], [-MOST_LOG_ODDS, MOST_LOG_ODDS, math.log(1e-3 / (1 - 1e-3))], "bases are chances"),
        (["0.5", "NaN", "NULL"], [0.0, None, None], "bases are chances from 0 to 1"),
        (["0.5", "-0.75", "2"], [0.5, -0.75, 2.0], "bases are log-odds"),
    ],
)
def test_a_base_is_read_as_chances_or_log_odds_and_it_is_said_which(
    scores: list[str], log_odds: list[float | None], said: str, tmp_path: Path
) -> None:
    path = log_of(tmp_path, scores)
    assert said in str(EventLog(path, SAID))
    events = load_log(path, SAID)
    assert events["base"].to_list() == pytest.approx(log_odds)
    assert [decode_event(raw).base for raw in encode_events(events)] == pytest.approx(log_odds)


def test_a_base_that_is_none_is_rejected_with_what_it_is(tmp_path: Path) -> None:
    log = EventLog(log_of(tmp_path, ["-1", "31", "n/a", "inf", "", "2"]), SAID)
    batches = list(log.batches())
    wanted = "not log-odds from -30 to 30"
    assert [(row.line, row.reason) for batch in batches for row in batch.rejected] == [
        (line, f"base is {score}, {wanted}") for line, score in ((3, "31"), (4, "n/a"), (5, "inf"))
    ]
    assert pl.concat([batch.events for batch in batches])["base"].to_list() == [-1.0, None, 2.0]


def test_bases_of_another_scale_are_refused_not_left_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a chance from 0 to 1 nor log-odds"):
        EventLog(log_of(tmp_path, ["0.4", "12", "95.1", "60"]), SAID)


def test_only_a_log_with_all_fields_by_their_names_or_its_user_says_what_a_base_is(tmp_path: Path) -> None:
    documented = log_of(tmp_path, ["0.5", "0.25"], column="base")
    assert EventLog(documented).is_uniform, "log-odds, as documented"
    assert load_log(documented)["base"].to_list() == [0.5, 0.25]
    stranger = tmp_path / "stranger.csv"
    stranger.write_text(documented.read_text().replace("user_id", "visitorid"))
    assert load_log(stranger)["base"].to_list() == [None, None]


@pytest.mark.parametrize(
    ("column", "scores"), [("score", ["0.5", "-2"]), ("score", ["0.5", "0.25"]), ("base", ["0.5", "-2"])]
)
def test_a_log_of_the_demo_s_own_has_the_bases(
    column: str, scores: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path, said = log_of(tmp_path, scores, column), LogOptions(column=(f"base={column}",))
    assert load_log(uniform_log(path, said))["base"].to_list() == load_log(path, said)["base"].to_list()


def test_negatives_are_not_drawn_beside_bases(tmp_path: Path) -> None:
    events = load_log(log_of(tmp_path, ["0.5", "0.25"]), SAID).with_columns(label=pl.lit(1, pl.Int8))
    with pytest.raises(InputError, match="which would tell them apart"):
        add_negatives(events, Sampling(1))
