"""A `--positive` that no event is: said with what there is, and the end where nothing is left."""

from pathlib import Path

import pytest

from streams.evaluation.log import evaluation_log
from streams.logs.check import check_log
from streams.logs.event_log import EventLog, load_log, survey
from streams.logs.options import LogOptions
from wire.errors import InputError

T = 1_500_000_000_000


@pytest.fixture
def log(tmp_path: Path) -> Path:
    kinds = ("view", "view", "addtocart", "Purchase")
    rows = (f"u{n},i,{kinds[n % 4]},{n % 5},{T + n}\n" for n in range(40))
    (tmp_path / "a.csv").write_text("user,item,event,stars,time\n" + "".join(rows))
    return tmp_path / "a.csv"


TYPES = "there are view (20), Purchase (10), addtocart (10)"


@pytest.mark.parametrize(
    ("positive", "says"),
    [
        ("purchse", f"no event is purchse, as --positive asks: {TYPES}"),
        ("buy,cart", f"no event is buy or cart, as --positive asks: {TYPES}"),
        ("event=buy", f"no event is event=buy, as --positive asks: {TYPES}"),
        ("stars>=5", "no event is stars>=5, as --positive asks: there are 0 (8), 1 (8), 2 (8), 3 (8), 4 (8)"),
    ],
)
def test_nothing_that_is_a_positive_ends_it_with_what_there_is(positive: str, says: str, log: Path) -> None:
    options = LogOptions(positive=positive)
    assert check_log(EventLog(log, options)).verdict == says
    for read in (lambda: load_log(log, options), lambda: survey(log, options)):
        with pytest.raises(InputError) as failed:
            read()
        assert str(failed.value) == f"{log}: {says}"
    with pytest.raises(InputError) as failed:
        evaluation_log(EventLog(log, options), None)
    assert says in str(failed.value)


def test_one_type_of_several_that_no_event_is_is_told_and_the_rest_goes_on(log: Path) -> None:
    options = LogOptions(positive="purchase,cart")
    says = f"no event is cart, as --positive asks: {TYPES}"
    check = check_log(EventLog(log, options))
    assert says in check.lines() and check.positives == 10
    assert says in survey(log, options).notes("a.csv")
    assert load_log(log, options)["label"].sum() == 10


def test_many_values_are_counted_not_listed(tmp_path: Path) -> None:
    rows = "".join(f"u,i,kind{n:02},{T + n}\n" for n in range(12))
    (tmp_path / "a.csv").write_text("user,item,event,time\n" + rows)
    verdict = check_log(EventLog(tmp_path / "a.csv", LogOptions(positive="buy"))).verdict
    assert verdict.endswith("kind07 (1) and 4 others")
