"""The evaluation's honesty: what would make its figures too good to be true."""

from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from device_sim.fleet import Fleet
from device_sim.stimulus import OwnEvent
from device_sim.training import TrainingJob
from index.matches import Matches
from index.pool import Pool
from index.scored import Scored
from models.history import History
from models.scores import logit
from streams.base.names import BOOSTED, LOGGED, ONLINE, REPEATS
from streams.evaluation.evaluate import chosen_users
from streams.evaluation.lineup import FIRST_CLOUD, REFRESHED_CLOUD
from streams.evaluation.paired import Comparison
from streams.evaluation.prequential import Plan
from streams.evaluation.result import all_arms
from streams.logs.slices import slices
from streams.training import cloud_trainer
from tests.streams.evaluation.world import TASK, plan, prequential, taste_log
from wire.batch import decode_batch
from wire.errors import InputError
from wire.ids import item_key, user_key
from wire.task import ARMS

LOG = taste_log(3000)
DELAY_MS = Plan.delay_ms


def gaucs(predictions: pl.DataFrame) -> dict[str, float]:
    figures = Comparison(predictions, ARMS, seed=0).figures()
    return {arm: f.gauc or 0.0 for arm, f in figures.items()}


def test_taste_is_learned_and_every_event_of_the_tail_is_predicted_once(tmp_path: Path) -> None:
    outcome = prequential(LOG, tmp_path, initial_share=1 / 3)
    assert outcome.predictions["event_id"].to_list() == LOG["event_id"][1000:].to_list()
    assert outcome.trainings and outcome.bytes_down
    found = gaucs(outcome.predictions)
    assert all(found[arm] > found["cloud"] + 0.04 for arm in ARMS[1:]), "personal taste is what devices are for"


def test_the_pool_holds_every_sample_of_the_items_that_enough_users_took_and_none_of_others(tmp_path: Path) -> None:
    log = taste_log(1500).with_columns(item_id=pl.Series([f"i{n * n % 1009 % 301}" for n in range(1500)]))
    later = taste_log(2100)[1500:].with_columns(user_id=pl.lit("late"), item_id=pl.lit("late"))  # all else is old then
    takers = log.filter(pl.col("label") == 1).group_by("item_id").agg(pl.col("user_id").n_unique())
    common = {item_key(item) for item, users in takers.iter_rows() if users >= 3}
    expected = sum(item_key(item) in common for item in log["item_id"])
    assert 100 < expected < 1400
    prequential(pl.concat([log, later]), tmp_path, min_users=3, initial_share=0.3)
    with Pool.open(tmp_path / "pool", read_only=True) as pool:
        pooled = [int(item) for block in pool.store.read() for item in block.item]
    assert set(pooled) == common and len(pooled) == expected


def test_shuffled_labels_teach_nobody_anything(tmp_path: Path) -> None:
    """12,000 predicted events: the standard error of GAUC is .006."""
    log = taste_log(14_400, users=30, seed=1, labels="random")
    found = gaucs(prequential(log, tmp_path, initial_share=1 / 6).predictions)
    assert found == {arm: pytest.approx(0.5, abs=0.015) for arm in ARMS}


def test_a_planted_future_feature_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where labels are random nothing may rank above chance; a history that knows what is taken next does."""
    log = taste_log(3000, users=10, labels="random")
    honest = gaucs(prequential(log, tmp_path / "honest").predictions)
    taken = {
        int(t): (item_key(i).to_bytes(4, "little"), item_key(c).to_bytes(4, "little"))
        for i, c, t in log.filter(pl.col("label") == 1).select("item_id", "category_id", "timestamp").iter_rows()
    }
    before = History.bytes_before

    def clairvoyant(self: History, timestamp: int) -> tuple[bytes, bytes]:
        items, categories = before(self, timestamp)
        item, category = taken.get(timestamp, (b"", b""))
        return 8 * item + items[: 22 * 4], 8 * category + categories[: 22 * 4]

    monkeypatch.setattr(History, "bytes_before", clairvoyant)
    planted = gaucs(prequential(log, tmp_path / "planted").predictions)
    assert max(honest.values()) < 0.55, "three standard errors of 1,200 events"
    assert min(planted.values()) > 0.6


def test_what_comes_later_changes_no_earlier_prediction(tmp_path: Path) -> None:
    """Acceptance, blending, matching and training read nothing of the future: flip and rename all of it."""
    cut = 2300
    later = pl.int_range(pl.len()) >= cut
    altered = LOG.with_columns(
        label=pl.when(later).then(1 - pl.col("label")).otherwise("label").cast(pl.Int8),
        category_id=pl.when(later).then(pl.lit("c0")).otherwise("category_id"),
    )
    whole, other = (prequential(log, tmp_path / n, refresh_ms=600_000) for n, log in (("a", LOG), ("b", altered)))
    until = LOG["timestamp"][cut]
    earlier = [o.predictions.filter(pl.col("timestamp") < until) for o in (whole, other)]
    assert len(earlier[0]) == cut - 1500
    assert earlier[0].equals(earlier[1])
    assert not whole.predictions.equals(other.predictions)


class SpyPool(Pool):
    """Remembers who asked what, and checks each answer: an item says which event it was."""

    events: ClassVar = {
        item_key(i): (user_key(u), t) for i, u, t in LOG.select("item_id", "user_id", "timestamp").iter_rows()
    }
    returned = 0
    newest_returned = 0
    asked: Any = None

    def search(self, match_keys: Any, user: Any, before_ms: Any, k_per_label: int) -> Matches:
        SpyPool.asked = list(zip(user.tolist(), before_ms.tolist(), strict=True))
        return super().search(match_keys, user, before_ms, k_per_label)

    def scored(self, matches: Matches) -> list[Scored]:
        found = super().scored(matches)
        for (user, before_ms), one in zip(SpyPool.asked, found, strict=True):
            for item, age_s in zip(one.candidates.item.tolist(), one.candidates.age_s.tolist(), strict=True):
                owner, at = self.events[item]
                assert owner != user, "the asker's own sample"
                assert at < before_ms, "not strictly earlier than the query"
                assert age_s == (before_ms - at) // 1000
                SpyPool.returned += 1
                SpyPool.newest_returned = max(SpyPool.newest_returned, at)
        return found


@pytest.mark.parametrize("delay_ms", [DELAY_MS, 600_000])
def test_nothing_is_learned_from_that_is_of_the_asker_or_younger_than_the_delay(
    delay_ms: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle, run = Fleet.handle_events, TrainingJob.run
    initial_ms = LOG["timestamp"][1499]
    trained_on = [0]
    monkeypatch.setattr(SpyPool, "newest_returned", 0)

    def predict(self: Fleet, events: list[OwnEvent], now_ms: int) -> None:
        first = min((e.event.timestamp for e in events), default=now_ms)
        newest = max(SpyPool.newest_returned, trained_on[0])
        assert newest <= max(first - delay_ms, initial_ms), "too young"
        assert newest < first, "learned before it was predicted"
        handle(self, events, now_ms)

    def train(self: TrainingJob, cpu_s: Any) -> Any:
        trained_on[0] = max(trained_on[0], *(int(t.rows.timestamp.max(initial=0)) for t in self.trains))
        return run(self, cpu_s)

    monkeypatch.setattr(Fleet, "handle_events", predict)
    monkeypatch.setattr(TrainingJob, "run", train)
    prequential(LOG, tmp_path, SpyPool, delay_ms=delay_ms)
    assert SpyPool.returned > 1000
    assert trained_on[0] > LOG["timestamp"][2500] - delay_ms, "and what is older is learned from"


def ages_on_return(folder: Path, idle_age_ms: int, patch: pytest.MonkeyPatch) -> list[int]:
    """How old the batches of idle devices are when their users come back."""
    handle = Fleet.handle_events
    ages: list[int] = []

    def look(self: Fleet, events: list[OwnEvent], now_ms: int) -> None:
        idle = [(o.event.timestamp, self.devices[o.event.user_id]) for o in events]
        ages.extend(at - d.batch.matched_ms for at, d in idle if d.batch is not None and not d.new_samples)
        handle(self, events, now_ms)

    with patch.context() as patched:
        patched.setattr(Fleet, "handle_events", look)
        prequential(LOG, folder, task=msgspec.structs.replace(TASK, idle_age_ms=idle_age_ms))
    return ages


def test_who_comes_back_finds_what_an_idle_device_would_have_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seldom = ages_on_return(tmp_path / "seldom", 10**9, monkeypatch)
    often = ages_on_return(tmp_path / "often", 60_000, monkeypatch)
    assert max(seldom) > 200_000
    # A device asks as its user comes, too: what it gets is of that moment, and was learned from what is old enough.
    assert min(often) >= -1 and max(often) <= 60_000 + 2 * DELAY_MS


def test_a_refreshed_fleet_has_the_cloud_model_that_the_refreshed_arm_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_trainer, "LEAST_NEW", 256)  # the log is short
    stale = prequential(LOG, tmp_path / "stale", initial_share=1 / 3, refresh_ms=400_000)
    refreshed = prequential(LOG, tmp_path / "refreshed", initial_share=1 / 3, refresh_ms=400_000, base="refreshed")
    assert stale.versions == refreshed.versions > 2
    assert stale.predictions["version"].n_unique() == 1
    assert refreshed.predictions["version"].n_unique() >= refreshed.versions - 1, "the last may come with the end"
    for outcome in (stale, refreshed):
        np.testing.assert_allclose(
            outcome.predictions[REFRESHED_CLOUD], refreshed.predictions["cloud"], atol=1e-5, err_msg="another model"
        )
    assert not np.allclose(stale.predictions["cloud"], refreshed.predictions["cloud"])


def test_a_new_model_meets_samples_that_are_too_new_to_be_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All samples of a window are to be encoded anew then: trainings are on the older ones, and none fails."""
    monkeypatch.setattr(cloud_trainer, "LEAST_NEW", 256)
    failed: list[Exception] = []
    monkeypatch.setattr(Fleet, "_give_up", lambda _self, _job, error, _now_ms: failed.append(error))
    changes: dict[str, Any] = {"initial_share": 1 / 3, "refresh_ms": 400_000, "delay_ms": 600_000, "base": "refreshed"}
    outcome = prequential(LOG, tmp_path, **changes)
    assert outcome.versions > 1 and {training.version for training in outcome.trainings} == {1, 2}
    assert not failed


def test_the_seed_decides_everything_but_measured_time(tmp_path: Path) -> None:
    first, again = (prequential(LOG, tmp_path / name, devices=10) for name in ("first", "again"))
    assert first.predictions.equals(again.predictions)
    assert [t.accepted for t in first.trainings] == [t.accepted for t in again.trainings]
    assert first.bytes_down == again.bytes_down
    assert first.predictions["user_id"].n_unique() == 10
    assert chosen_users(LOG, plan(devices=10)) != chosen_users(LOG, plan(devices=10, seed=1))


def test_devices_come_in_the_order_of_their_first_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who trains beside whom moves the last bits, so an order that differs from process to process would too."""
    connect, came = Fleet.connected, []

    def connected(self: Fleet, user_id: str, now_ms: int) -> None:
        came.append(user_id)
        connect(self, user_id, now_ms)

    monkeypatch.setattr(Fleet, "connected", connected)
    prequential(LOG, tmp_path)
    assert came == LOG["user_id"].unique(maintain_order=True).to_list()


def test_a_head_that_leaves_nothing_to_learn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="initial part is empty"):
        prequential(LOG, tmp_path, initial_share=0.0001)


def test_what_takes_longer_than_the_log_is_never_learned_from(tmp_path: Path) -> None:
    """Devices are left with the initial part, and the user biases that they learn as they predict."""
    outcome = prequential(LOG, tmp_path / "longer", delay_ms=10**12)
    assert outcome.predictions.equals(prequential(LOG, tmp_path / "longest", delay_ms=10**13).predictions)
    assert not outcome.predictions.equals(prequential(LOG, tmp_path / "in time").predictions)


# Who does something and how long after the one before; near the delay, and in the same moment.
STEPS = st.lists(
    st.tuples(st.sampled_from("abx"), st.sampled_from([0, 0, 1, DELAY_MS // 2, DELAY_MS - 1, DELAY_MS])), max_size=30
)


@pytest.mark.parametrize("base", [ONLINE, BOOSTED])
def test_devices_add_to_what_the_strong_global_model_expected_and_the_first_cloud_model_stands_beside_it(
    base: str, tmp_path: Path
) -> None:
    stale = prequential(LOG, tmp_path / "stale", initial_share=0.7).predictions
    strong = prequential(LOG, tmp_path / "strong", initial_share=0.7, base=base).predictions
    np.testing.assert_allclose(strong["cloud"], strong[base], atol=1e-6)
    np.testing.assert_allclose(strong[FIRST_CLOUD], stale["cloud"], atol=1e-6)
    np.testing.assert_allclose(strong[REPEATS], stale[REPEATS], atol=1e-6, err_msg="it adds to the cloud as ever")
    assert not np.allclose(strong["coda"], stale["coda"])


def test_what_a_base_says_of_all_items_of_a_moment_alike_ranks_nothing(tmp_path: Path) -> None:
    """Before their first training, devices rank as the rival that they add to does."""
    outcome = prequential(LOG, tmp_path, base=ONLINE, task=msgspec.structs.replace(TASK, min_samples=10**6))
    table = all_arms({ONLINE: outcome})
    ranks = table["local-on-online.score"].to_numpy() - table["online.score"].to_numpy()
    np.testing.assert_allclose(ranks, 0, atol=1e-4)
    assert not np.allclose(table["online.score"], logit(table["online"].to_numpy()), atol=0.01)


def test_what_the_log_says_that_another_model_expected_is_added_to_where_the_plan_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    log = LOG.with_columns(base=pl.Series(rng.normal(size=len(LOG))))
    logged, stale = (prequential(log, tmp_path / base, base=base).predictions for base in (LOGGED, "stale"))
    said = log.join(logged, on="event_id", how="semi")["base"]
    np.testing.assert_allclose(logged["cloud"], 1 / (1 + np.exp(-said.to_numpy())), atol=1e-6)
    assert stale.equals(prequential(LOG, tmp_path / "without").predictions), "else it is as if it said nothing"


def test_candidates_say_what_their_base_was(tmp_path: Path) -> None:
    log = LOG.with_columns(base=pl.lit(0.25))
    batches: list[bytes] = []

    class Listening(Fleet):
        def deliver_batch(self, user_id: str, raw: bytes, now_ms: int) -> None:
            batches.append(raw)
            super().deliver_batch(user_id, raw, now_ms)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.evaluation.prequential.Fleet", Listening)
        prequential(log, tmp_path, base=LOGGED)
    logits = np.concatenate([decode_batch(raw).matched.logit for raw in batches])
    assert len(logits) and (logits == 0.25).all()


@given(STEPS, st.integers(1, 12))
@example([("a", 0), ("b", 1), ("x", DELAY_MS), ("a", 0)], 3)  # the last row of a slice brings all of its moment along
def test_a_device_that_is_asked_again_after_the_delay_is_asked_in_another_slice(
    steps: list[tuple[str, int]], rows: int
) -> None:
    """No slice holds two events of a device so far apart; nothing is lost or moved, and moments stay together."""
    times = np.cumsum([ms for _, ms in steps], dtype=np.int64)
    log = taste_log(len(steps)).with_columns(
        user_id=pl.Series([u for u, _ in steps], dtype=pl.String), timestamp=pl.Series(times)
    )
    parts = list(slices(log, rows, DELAY_MS, {"a", "b"}))  # x has no device
    assert [event.event_id for part in parts for event in part] == log["event_id"].to_list()
    assert all(parts)
    for part, following in pairwise(parts):
        assert part[-1].timestamp < following[0].timestamp
        assert len(part) >= rows or following[0].timestamp - part[0].timestamp >= DELAY_MS
    for part in parts:
        for user in "ab":
            mine = [event.timestamp for event in part if event.user_id == user]
            assert not mine or mine[-1] - mine[0] < DELAY_MS
    whole = [len(part) for part in slices(log, rows)]
    assert all(n >= rows for n in whole[:-1]), "without devices slices are as long as asked for"
