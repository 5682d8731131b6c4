import hashlib
import io
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from zipfile import ZipFile

import polars as pl
import pytest

from streams.cli import run
from streams.logs import completejourney, data, movielens
from streams.logs.event_log import load_log
from streams.logs.negatives import Sampling
from streams.logs.packages import Package
from wire.errors import ArtefactError, InputError

INTER = b"""user_id:token\titem_id:token\trating:float\ttimestamp:float
1\t20\t3\t881250949
2\t10\t4\t881250948
1\t30\t5\t881250949
"""
ITEM = b"""item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq
10\tA "B", C\t1995\tComedy Drama
20\tD\t1996\tWar
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "coda" / "data"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> data.NamedLog:
    """A source whose package is a wheel made here, and a pip that finds it."""
    made = tmp_path / "tiny-1.0-py3-none-any.whl"
    with ZipFile(made, "w") as archive:
        archive.writestr("tiny/a.inter", INTER)
        archive.writestr("tiny/a.item", ITEM)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with ZipFile(made, "a") as archive:
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    package = Package("tiny", "1.0", hashlib.sha256(made.read_bytes()).hexdigest())
    source = data.NamedLog(
        "tiny", "three ratings", "terms of use", package, ("tiny/a.inter", "tiny/a.item"),
        partial(movielens.to_log, genres="class"),
    )  # fmt: skip
    monkeypatch.setitem(data.NAMED_LOGS, "tiny", source)
    return source


def test_ratings_become_events_sorted_by_time_with_the_first_genre() -> None:
    log = movielens.to_log(INTER, ITEM, "class")
    assert log.select("user_id", "item_id", "category_id", "label", "timestamp").rows() == [
        ("2", "10", "Comedy", 1, 881250948000),
        ("1", "20", "War", 0, 881250949000),
        ("1", "30", "unknown", 1, 881250949000),
    ]


def test_purchases_become_positives_and_a_basket_shares_its_time() -> None:
    bought = pl.DataFrame(
        {
            "household_id": [1, 1],
            "product_id": [5, 6],
            "basket_id": [9, 9],
            "quantity": [1, 2],
            "sales_value": [1.5, 2.5],
            "transaction_timestamp": [1_500_000_000_000] * 2,
        }
    ).with_columns(pl.from_epoch("transaction_timestamp", "ms"))
    shelf = pl.DataFrame({"product_id": [5, 6], "department": ["GROCERY", "DELI"], "product_category": ["SOUP", None]})
    log = completejourney.to_log(_parquet(bought), _parquet(shelf))
    assert log["category_id"].to_list() == ["SOUP", "DELI"]
    assert log["label"].to_list() == [1, 1]
    assert log["timestamp"].to_list() == [1_500_000_000_000] * 2


def test_the_showcase_is_four_weeks_of_every_second_household() -> None:
    day = 86_400_000
    bought = pl.DataFrame(
        {
            "household_id": [2, 2, 3, 4, 2],
            "product_id": [5, 6, 5, 7, 6],
            "basket_id": [1, 2, 3, 4, 5],
            "quantity": [1] * 5,
            "sales_value": [1.0] * 5,
            "transaction_timestamp": [0, 3 * day, 4 * day, 27 * day, 28 * day],
        }
    ).with_columns(pl.from_epoch("transaction_timestamp", "ms"))
    shelf = pl.DataFrame({"product_id": [5], "department": ["GROCERY"], "product_category": ["SOUP"]})
    log = completejourney.four_weeks(_parquet(bought), _parquet(shelf))
    assert log["user_id"].to_list() == ["2", "2", "4"] and log["label"].to_list() == [1, 1, 1]


def test_a_log_is_fetched_once_and_its_terms_are_said_once(
    wheel: data.NamedLog, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "get", "tiny"]) == 0
    first = capsys.readouterr()
    assert first.out.strip() == str(cache / "tiny.parquet")
    assert first.err.count("terms of use") == 1
    assert run(["data", "get", "tiny"]) == 0
    assert "terms" not in capsys.readouterr().err
    assert load_log(data.find_log("tiny")).height == 3
    assert os.listdir(cache) == ["tiny.parquet"]  # noqa: PTH208 - nothing half-written beside it


def test_a_package_that_is_not_the_pinned_one_is_not_used(wheel: data.NamedLog, cache: Path) -> None:
    other = replace(wheel, package=replace(wheel.package, sha256="0" * 64))
    with pytest.raises(ArtefactError, match="not the pinned"):
        data.get_log(other)
    assert not cache.exists()


def test_a_package_that_cannot_be_fetched_says_so_in_one_line(wheel: data.NamedLog) -> None:
    with pytest.raises(InputError, match=r"pip cannot fetch tiny==2\.0") as failed:
        data.get_log(replace(wheel, package=replace(wheel.package, version="2.0")))
    assert "\n" not in str(failed.value)
    assert sys.executable in str(failed.value)


def test_negatives_are_a_log_of_their_own(
    wheel: data.NamedLog, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    assert run(["data", "get", "tiny", "--negatives", "2"]) == 2
    assert "negatives of its own" in capsys.readouterr().err
    everyone = replace(wheel, positives_only=True, convert=lambda *_: pl.DataFrame(_positives()))
    data.NAMED_LOGS["tiny"] = everyone
    assert run(["data", "get", "tiny", "--negatives", "2"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == cache / "tiny-next2-seed0.parquet"
    assert load_log(path)["label"].to_list().count(0) == 4, "none for the last one"


def test_a_log_that_comes_with_sampled_negatives_says_of_what_draw_they_are(
    wheel: data.NamedLog, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In its name, too: negatives that an earlier version drew in another way are not taken for these."""
    draw = Sampling(1)
    data.NAMED_LOGS["tiny"] = replace(wheel, sampling=draw, convert=lambda *_: pl.DataFrame(_positives()))
    assert run(["data", "get", "tiny"]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(cache / f"tiny-{draw.slug}.parquet") and "what tells a positive" in said.err
    assert 0 in load_log(data.find_log("tiny"))["label"].to_list()


def test_names_that_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "get", "netflix"]) == 2
    assert "ml-100k" in capsys.readouterr().err


def test_a_log_is_found_by_path_or_by_name_and_else_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("x")
    assert data.find_log(tmp_path / "own.csv") == tmp_path / "own.csv"
    with pytest.raises(InputError, match="coda data get ml-1m"):
        data.find_log("ml-1m")
    with pytest.raises(InputError, match="there is no file"):
        data.find_log("nothing.csv")


def test_the_list_names_every_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "list"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in ("ml-100k", "ml-1m", "completejourney", "not fetched"))


def _parquet(frame: pl.DataFrame) -> bytes:
    raw = io.BytesIO()
    frame.write_parquet(raw)
    return raw.getvalue()


def _positives() -> dict[str, list[object]]:
    return {
        "user_id": ["a", "b", "c"],
        "item_id": ["1", "2", "3"],
        "category_id": ["x"] * 3,
        "event_type": ["buy"] * 3,
        "label": [1, 1, 1],
        "timestamp": [1000, 2000, 3000],
    }
