"""Global models that learn as the stream goes: what they can know, and when."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace

from models.scores import auc
from models.streamed.features import Seen, Streamed
from streams.base.model import Met, Trees
from streams.base.names import BOOSTED, ONLINE, POPULARITY, REPEATS
from streams.base.service import Service, columns_of
from streams.evaluation.lineup import RIVALS, SCORE
from streams.evaluation.rivals import Rivals
from wire.event import Event

HALF = 6000


def habit_log(events: int = 2 * HALF, seed: int = 0) -> list[Event]:
    """Of twelve items, users take again what they took: nine times in ten; else every other time."""
    rng = np.random.default_rng(seed)
    taken: set[tuple[int, int]] = set()
    log = []
    for n in range(events):
        user, item = int(rng.integers(0, 200)), int(rng.integers(0, 12))
        label: Literal[0, 1] = 1 if rng.random() < (0.9 if (user, item) in taken else 0.3) else 0
        if label:
            taken.add((user, item))
        log.append(Event(f"e{n}", f"u{user}", f"i{item}", "c", "view", label, 10**12 + 2000 * n))
    return log


def new_service(**settings: Any) -> Service:
    return Service(RIVALS, **({"delay_ms": 5000, "impressions": True, "seed": 0} | settings))


def met(log: list[Event], cloud: float = 0.5, **settings: Any) -> pl.DataFrame:
    service = new_service(**settings)
    rivals = Rivals(service)
    service.rehearse(*columns_of(log[:HALF]))
    service.begin()
    for at in range(HALF, len(log), 200):
        part = log[at : at + 200]
        clouds: Mapping[str, Mapping[str, float]] = {REPEATS: {e.event_id: cloud for e in part}}
        service.see(*columns_of(part))
        rivals.meet(part, clouds)
    return rivals.table()


def test_who_takes_again_what_they_took_is_found_by_those_who_look() -> None:
    log = habit_log()
    table = met(log)
    label = np.array([event.label for event in log[HALF:]], np.uint8)
    found = {name: auc(label, table[name].to_numpy()) for name in (POPULARITY, REPEATS, ONLINE, BOOSTED)}
    popular = found.pop(POPULARITY)
    assert min(found.values()) > max(0.7, popular + 0.1), "all items are nearly alike"
    assert table["event_id"].to_list() == [event.event_id for event in log[HALF:]]


def test_a_slice_in_which_no_device_predicted_anything_adds_nothing() -> None:
    log, service = habit_log(HALF + 200), new_service()
    rivals = Rivals(service)
    service.rehearse(*columns_of(log[:HALF]))
    service.begin()
    for part, predicted in ((log[HALF : HALF + 100], []), (log[HALF + 100 :], log[HALF + 100 :])):
        service.see(*columns_of(part))
        rivals.meet(part, {REPEATS: {event.event_id: 0.5 for event in predicted}})
    assert rivals.table()["event_id"].to_list() == [event.event_id for event in log[HALF + 100 :]]


def test_repeats_add_to_what_the_cloud_thinks() -> None:
    log = habit_log(HALF + 400)
    low, high = (met(log, cloud)[REPEATS + SCORE].mean() for cloud in (0.1, 0.9))
    assert float(high) - float(low) > 3  # type: ignore[arg-type]  # polars types it as any value


def test_nothing_is_learned_before_it_is_as_old_as_the_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    learn, take, learn_trees = Streamed.learn, Streamed.take, Trees.learn
    initial_ms, known_ms = 10**12 + 2000 * (HALF - 1), [0]

    def spy_learn(self: Streamed, seen: Seen) -> None:
        known_ms.append(int(seen.moments.timestamp.max()))
        learn(self, seen)

    def spy_trees(self: Trees, met: Met) -> None:
        known_ms.append(int(met.seen.moments.timestamp.max()))
        learn_trees(self, met)

    def spy_take(self: Streamed, moments: Any, context: Any) -> Seen:
        assert max(known_ms) <= max(int(moments.timestamp.min()) - 600_000, initial_ms)
        return take(self, moments, context)

    monkeypatch.setattr(Streamed, "learn", spy_learn)
    monkeypatch.setattr(Streamed, "take", spy_take)
    monkeypatch.setattr(Trees, "learn", spy_trees)
    met(habit_log(HALF + 2000), delay_ms=600_000)
    assert max(known_ms) > initial_ms, "and what is older is learned from"


def test_a_score_leaves_out_what_is_the_same_for_all_items_of_a_moment() -> None:
    """Half of the users take nearly everything: their chances differ, within a moment nothing does."""
    rng = np.random.default_rng(1)
    log = []
    for n in range(HALF + 2000):
        user = int(rng.integers(0, 50))
        label: Literal[0, 1] = 1 if rng.random() < (0.9 if user % 2 else 0.1) else 0
        log.append(Event(f"e{n}", f"u{user}", f"i{n % 7}", "c", "view", label, 10**12 + 2000 * n))
    table = met(log)
    generous = np.array([int(event.user_id[1:]) % 2 for event in log[HALF:]], np.uint8)
    for name in (ONLINE, BOOSTED):
        assert auc(generous, table[name].to_numpy()) > 0.95
        assert auc(generous, table[name + SCORE].to_numpy()) < auc(generous, table[name].to_numpy())


def test_who_has_too_little_to_train_on_predicts_nothing_and_is_named() -> None:
    log = habit_log(1600)
    service = new_service()
    rivals = Rivals(service)
    service.rehearse(*columns_of(log[:1500]))
    service.begin()
    service.see(*columns_of(log[1500:]))
    rivals.meet(log[1500:], {REPEATS: {event.event_id: 0.5 for event in log}})
    assert service.untrained == [BOOSTED]
    assert BOOSTED not in rivals.table().columns and ONLINE in rivals.table().columns


@pytest.mark.parametrize("base", [ONLINE, BOOSTED])
def test_what_a_rival_expects_of_every_moment_is_told_before_it_knows(base: str) -> None:
    log = habit_log(HALF + 200)
    label = np.array([event.label for event in log], np.uint8)
    service = new_service(base=base)
    rivals = Rivals(service)
    service.rehearse(*columns_of(log[:HALF]))
    before = service.begin()
    told = service.see(*columns_of(log[HALF:]))
    rivals.meet(log[HALF:], {REPEATS: {event.event_id: 0.5 for event in log[HALF:]}})
    later = slice(HALF // 2, HALF)  # at first there is nothing to expect, and trees have no number
    assert len(before) == HALF and auc(label[later], before[later]) > 0.7
    assert len(told) == 200 and auc(label[HALF:], told) > 0.65, "a standard error of .04"
    assert (1 / (1 + np.exp(-told))).tolist() == pytest.approx(rivals.table()[base].to_list(), abs=1e-6)


@pytest.mark.parametrize("base", [ONLINE, BOOSTED])
def test_what_nobody_can_know_no_rival_expects(base: str) -> None:
    rng = np.random.default_rng(0)
    log = [replace(event, label=int(rng.integers(0, 2))) for event in habit_log(HALF)]
    service = new_service(base=base)
    service.rehearse(*columns_of(log))
    before = service.begin()
    known = ~np.isnan(before)
    label = np.array([event.label for event in log], np.uint8)
    assert known.sum() >= HALF // 2
    assert auc(label[known], before[known]) == pytest.approx(0.5, abs=0.03), "three standard errors"
