"""What `coda data check` says of a log."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from streams.logs.check import LogCheck, check_log
from streams.logs.event_log import EventLog, load_log
from streams.logs.options import AS_FOUND, LogOptions
from streams.logs.slices import INITIAL_SHARE, first_of_tail
from tests.streams.logs.world import write_csv
from wire.errors import InputError

T = 1_500_000_000_000


def checked(tmp_path: Path, *rows: str, options: LogOptions = AS_FOUND) -> LogCheck:
    return check_log(EventLog(write_csv(tmp_path / "a.csv", *rows), options))


def test_figures_of_a_small_log(tmp_path: Path) -> None:
    rows = [
        f"a,i,c,view,1,{T}",
        f"a,i,c,view,0,{T + 2}",
        f"a,i,c,view,0,{T + 2}",
        f"b,j,c,view,1,{T + 1}",
        f"b,j,c,view,x,{T + 3}",
        f"b,j,c,view,z,{T + 4}",
        "short",
    ]
    found = checked(tmp_path, *rows)
    assert (found.events, found.users, found.items, found.positives) == (4, 2, 2, 2)
    assert (found.first_ms, found.last_ms, found.per_user) == (T, T + 2, (1, 3, 3))
    assert (found.repeats, found.duplicates, found.out_of_order, found.users_with_both) == (0.5, 1, 1, 1)
    assert [(each.rows, each.reason, each.line) for each in found.rejected] == [
        (2, "label is …, not 0 or 1", 6),
        (1, "… fields where the header has 6", 8),
    ]
    assert found.rejected[1].example == "short"
    text = "\n".join(found.lines())
    assert "too few users to tell (1 with both labels; 30 needed)" in text and "2017-07-14 02:40" in text


@pytest.mark.parametrize(
    ("labels", "verdict"), [("11", "--negatives 2"), ("00", "--positive"), ("01" * 30, "large enough")]
)
def test_the_verdict(labels: str, verdict: str, tmp_path: Path) -> None:
    rows = (f"u{n // 2},i,c,view,{label},{T + n}" for n, label in enumerate(labels))
    assert verdict in checked(tmp_path, *rows).verdict


@pytest.mark.parametrize(("of_one", "told"), [(2, False), (20, True)])
def test_one_user_with_much_of_all_events_is_told(of_one: int, told: bool, tmp_path: Path) -> None:
    users = [*range(40), *[0] * of_one]
    found = checked(tmp_path, *(f"u{user},i,c,view,{n % 2},{T + n}" for n, user in enumerate(users)))
    assert found.busiest == 1 + of_one
    assert ("leave it out" in "\n".join(found.lines())) == told


def test_json_that_is_broken_alike_is_one_reason_wherever_it_breaks(tmp_path: Path) -> None:
    row = f'"user_id":"u","item_id":"i","label":1,"timestamp":{T}'
    broken = (f'{{{row},"note":"{"x" * n}","price":NaN}}\n' for n in range(20))
    (tmp_path / "a.jsonl").write_text(f"{{{row}}}\n" + "".join(broken))
    (reason,) = check_log(EventLog(tmp_path / "a.jsonl")).rejected
    assert (reason.rows, reason.line) == (20, 2) and "not JSON" in reason.reason


@pytest.mark.parametrize(("apart_h", "days_only"), [(24, True), (23, True), (22, False)])
def test_a_log_of_days_alone_is_told_to_say_nothing_of_freshness(apart_h: int, days_only: bool, tmp_path: Path) -> None:
    rows = (f"u{n % 3},i,c,view,{n % 2},{T + n // 3 * apart_h * 3_600_000}" for n in range(9))
    found = checked(tmp_path, *rows)
    assert found.days_only == days_only == ("the day and no more" in "\n".join(found.lines()))


def test_a_log_without_an_event_is_told_not_a_traceback(tmp_path: Path) -> None:
    found = checked(tmp_path, ",i,c,view,1,5")
    assert list(found.lines())[-1] == "no event can be read"
    assert found.as_dict()["rejected"][0]["reason"] == "no user_id"


def test_what_a_picture_shows(tmp_path: Path) -> None:
    found = checked(tmp_path, f"a,i,c,view,1,{T}", *(f"b,i,c,view,0,{T + n}" for n in range(5)))
    assert found.by_events == (1, 0, 1) and sum(found.over_time) == 6


def test_years_nobody_means_are_the_verdict(tmp_path: Path) -> None:
    rows = (f"u{n // 2},i,c,view,{n % 2},{n}" for n in range(80))
    assert "1970" in checked(tmp_path, *rows).verdict


@pytest.mark.parametrize(("later", "refused"), [(0, True), (31, True), (32, False), (50, False)])
def test_a_log_that_an_evaluation_refuses_for_its_times_is_not_large_enough(
    later: int, refused: bool, tmp_path: Path
) -> None:
    rows = (f"u{n // 2},i,c,view,{n % 2},{T + max(0, n + 1 - (80 - later))}" for n in range(80))
    assert ("are of the first moment" in checked(tmp_path, *rows).verdict) == refused
    with pytest.raises(InputError, match="initial part is empty") if refused else nullcontext():
        first_of_tail(load_log(tmp_path / "a.csv"), INITIAL_SHARE)
