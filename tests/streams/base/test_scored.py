"""What a log says of a global model: the same as an evaluation hands its devices, and made once."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from streams.base import scored
from streams.base.names import BOOSTED, LOGGED, ONLINE, STALE
from streams.base.scored import Scoring, log_with_base, score
from streams.evaluation.prequential import PrequentialRun
from streams.logs.data import as_log, write_log
from streams.logs.event_log import load_log
from tests.streams.evaluation.world import prequential, taste_log
from wire.errors import InputError
from wire.event import Event

LOG = taste_log(2800)
SHARE = 0.7  # 1,960 events: enough for trees
SCORING = Scoring(initial_share=SHARE)


def quiet(*_: object) -> None:
    """Nobody to tell."""


def written(folder: Path, log: pl.DataFrame = LOG) -> Path:
    path = folder / "log.parquet"
    write_log(log.drop("event_id", *(["base"] if log["base"].is_null().all() else [])), path)
    return path


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("base", [ONLINE, BOOSTED])
def test_a_scored_log_says_of_each_event_what_an_evaluation_hands_its_devices(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: dict[str, float | None] = {}

    def spy(name: str) -> None:
        told = getattr(PrequentialRun, name)

        def spied(self: PrequentialRun, events: list[Event]) -> object:
            handed.update((event.item_id, event.base) for event in events)  # each has an item of its own
            return told(self, events)

        monkeypatch.setattr(PrequentialRun, name, spied)

    spy("remember")
    spy("step")
    prequential(LOG, tmp_path, initial_share=SHARE, base=base)
    write_log(
        as_log(score(LOG.with_columns(context=pl.lit(None, pl.String), line=0), base, SCORING, quiet)),
        path := tmp_path / "scored.parquet",
    )
    said = load_log(path)
    assert len(handed) == len(said) == len(LOG)
    assert dict(zip(said["item_id"], said["base"], strict=True)) == handed
    known = said["base"].drop_nulls()
    assert len(known) >= (1 - SHARE) * len(LOG) and known.n_unique() > 100, "and it says something"


def test_where_nothing_is_said_a_log_s_own_base_is_taken_then_trees_then_a_regression(tmp_path: Path) -> None:
    own = written(tmp_path, LOG.with_columns(base=pl.lit(0.5)))
    assert log_with_base(own, None, SCORING, show=quiet, say=quiet) == (LOGGED, own)
    path = written(tmp_path)
    base, boosted = log_with_base(path, None, SCORING, show=quiet, say=quiet)
    assert base == BOOSTED and load_log(boosted)["base"].is_not_null().any()
    base, online = log_with_base(path, None, Scoring(initial_share=0.3), show=quiet, say=quiet)
    assert base == ONLINE and load_log(online)["base"].is_not_null().all()
    assert log_with_base(path, STALE, SCORING, show=quiet, say=quiet) == (STALE, path)


def test_a_base_that_was_not_asked_for_is_left_out_and_one_that_cannot_be_is_told(tmp_path: Path) -> None:
    own = written(tmp_path, LOG.with_columns(base=pl.lit(0.5)))
    _, without = log_with_base(own, STALE, SCORING, show=quiet, say=quiet)
    assert load_log(without)["base"].is_null().all() and load_log(own)["base"].is_not_null().all()
    with pytest.raises(InputError, match="initial part of 1,875 events"):
        log_with_base(own, BOOSTED, Scoring(initial_share=0.1), show=quiet, say=quiet)
    with pytest.raises(InputError, match="--column base=NAME"):
        log_with_base(written(tmp_path), LOGGED, SCORING, show=quiet, say=quiet)


def test_a_log_is_scored_once_and_another_one_of_its_name_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)
    _, first = log_with_base(path, ONLINE, SCORING, show=quiet, say=quiet)
    with monkeypatch.context() as patch:
        patch.setattr(scored, "score", lambda *_: pytest.fail("scored again"))
        assert log_with_base(path, ONLINE, SCORING, show=quiet, say=quiet) == (ONLINE, first)
    os.utime(path, (1, 1))
    _, other = log_with_base(path, ONLINE, SCORING, show=quiet, say=quiet)
    _, later = log_with_base(path, ONLINE, Scoring(initial_share=SHARE, delay_ms=60_000), show=quiet, say=quiet)
    assert len({first, other, later}) == 3
    known = np.isfinite(load_log(first)["base"].to_numpy())
    assert known.all() and load_log(first)["base"].to_list() != load_log(later)["base"].to_list()
