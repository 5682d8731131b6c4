"""What every pool promises, checked on every pool."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index.fetched import NO_ROW
from index.matcher import Matcher, Nearest, Random
from index.scored import best_of, share
from index.spec import PoolSpec
from models.sample import SampleBlock
from tests.index.pools import MAKERS, AnyPool, Maker, small
from tests.index.samples import KEY_DIM, askers, random_keys, samples
from wire.errors import InputError, PoolError, VectorError
from wire.identity import NO_MODEL, ModelId

LATER = np.array([10_000], np.int64)
NOBODY = askers(999)
MATCHERS: list[Matcher] = [Nearest(), Random(seed=3)]


@pytest.fixture(params=MAKERS, ids=list(MAKERS))
def make(request: pytest.FixtureRequest) -> Maker:
    return MAKERS[request.param]


@pytest.fixture
def pool(make: Maker, tmp_path: Path) -> AnyPool:
    return make(tmp_path / "pool", small())


@pytest.fixture(params=MATCHERS, ids=lambda m: m.name)
def matcher(request: pytest.FixtureRequest) -> Matcher:
    assert isinstance(request.param, Nearest | Random)
    return request.param


def filled(pool: AnyPool, n: int = 60) -> SampleBlock:
    block = samples(range(100, 100 + n), seed=1)
    for at in range(0, n, 23):
        assert pool.upsert(block.take(slice(at, at + 23))).inserted.all()
    return block


def found_items(pool: AnyPool, matcher: Matcher, user: int = 999, before_ms: int = 10_000, k: int = 100) -> set[int]:
    matches = matcher.match(pool, random_keys(1, 5), askers(user), np.array([before_ms]), k)
    return set(pool.candidates(matches)[0].item.tolist())


def test_finds_everything_when_asked_for_more_than_there_is(pool: AnyPool, matcher: Matcher) -> None:
    block = filled(pool)
    assert len(pool) == len(block)
    assert found_items(pool, matcher) == set(block.item.tolist())


def test_an_empty_pool_finds_nothing(pool: AnyPool, matcher: Matcher) -> None:
    matches = matcher.match(pool, random_keys(2, 5), askers(1, 2), np.array([5, 5]), 3)
    assert (matches.row == NO_ROW).all() and np.isneginf(matches.score).all()
    assert [len(c) for c in pool.candidates(matches)] == [0, 0]
    assert len(pool) == 0 and pool.model == NO_MODEL


def test_no_queries_are_fine(pool: AnyPool, matcher: Matcher) -> None:
    filled(pool)
    none = np.zeros(0, np.int64)
    assert len(matcher.match(pool, np.zeros((0, KEY_DIM), np.float32), none.astype(np.uint64), none, 3)) == 0


def test_never_the_askers_own(pool: AnyPool, matcher: Matcher) -> None:
    block = filled(pool)
    for user in range(1, 6):
        assert found_items(pool, matcher, user) == set(block.item[block.user != user].tolist())


def test_never_at_or_after_the_query(pool: AnyPool, matcher: Matcher) -> None:
    block = filled(pool)
    for before in (100, 101, 130, 159, 160):
        assert found_items(pool, matcher, before_ms=before) == set(block.item[block.timestamp < before].tolist())


def test_the_window_ends_by_the_query_too(make: Maker, tmp_path: Path, matcher: Matcher) -> None:
    """A shard that has had no sample for long shows no stale ones."""
    pool = make(tmp_path / "pool", small(window_age_ms=50))
    pool.upsert(samples(range(100, 120)))
    assert len(found_items(pool, matcher, before_ms=120)) == 20
    assert len(found_items(pool, matcher, before_ms=160)) == 9
    assert found_items(pool, matcher, before_ms=500) == set()


def test_each_label_gets_its_own_k_best_first(pool: AnyPool, matcher: Matcher) -> None:
    block = filled(pool)
    matches = matcher.match(pool, random_keys(3, 5), askers(1, 2, 3), np.full(3, 10_000), 4)
    assert matches.found().tolist() == [[4, 4]] * 3
    assert (np.diff(matches.score, axis=2) <= 0).all()
    for candidates in pool.candidates(matches):
        assert candidates.label.tolist() == [0] * 4 + [1] * 4
        of = {int(i): int(label) for i, label in zip(block.item, block.label, strict=True)}
        assert [of[i] for i in candidates.item.tolist()] == candidates.label.tolist()


def test_candidates_carry_what_was_put_in(pool: AnyPool, matcher: Matcher) -> None:
    block = filled(pool)
    matches = matcher.match(pool, random_keys(1, 5), NOBODY, LATER, 5)
    candidates = pool.candidates(matches)[0]
    assert block.logit is not None
    for row in range(len(candidates)):
        at = block.item.tolist().index(candidates.item[row])
        assert candidates.logit[row] == np.float16(block.logit[at])
        assert candidates.category[row] == block.category[at]
        assert candidates.times[row] == block.times[at]
        assert candidates.age_s[row] == (10_000 - block.timestamp[at]) // 1000


def test_nearest_are_the_most_similar(pool: AnyPool) -> None:
    block = filled(pool)
    keys = random_keys(5, 9)
    matches = pool.search(keys, np.full(5, 999, np.uint64), np.full(5, 10_000), 6)
    assert block.match_key is not None
    for query in range(5):
        for label in (0, 1):
            best = np.sort(block.match_key[block.label == label] @ keys[query])[::-1][:6]
            assert matches.score[query, label] == pytest.approx(best, abs=1e-6)


def test_random_draws_repeat_and_differ_by_asker_time_and_seed(pool: AnyPool) -> None:
    filled(pool)

    def drawn(user: int, before: int, seed: int) -> list[int]:
        candidates = pool.candidates(pool.sample_random(askers(user), np.array([before]), 3, seed))[0]
        return [int(item) for item in candidates.item]

    assert drawn(900, 1000, 0) == drawn(900, 1000, 0)
    assert len({tuple(drawn(*x)) for x in ((900, 1000, 0), (901, 1000, 0), (900, 1001, 0), (900, 1000, 1))}) > 1


def test_every_sample_is_drawn_about_equally_often(pool: AnyPool) -> None:
    pool.upsert(samples(range(100, 120), labels=[0, 1] * 10, users=[1] * 20))
    users = np.arange(1000, 5000, dtype=np.uint64)
    drawn = pool.candidates(pool.sample_random(users, np.full(4000, 500), 2, 0))
    _, counts = np.unique(np.concatenate([c.item for c in drawn]), return_counts=True)
    # Shares follow the gaps between hashes on a circle, so they vary more than binomial counts; none is left out.
    assert len(counts) == 20 and counts.min() > 30 and counts.max() < 3000


def test_the_same_sample_twice_counts_once(pool: AnyPool, matcher: Matcher) -> None:
    block = filled(pool)
    again = pool.upsert(block)
    assert again.duplicate.all() and not again.inserted.any() and again.refused() == {"duplicate": 60, "late": 0}
    assert len(pool) == 60 and found_items(pool, matcher) == set(block.item.tolist())


def test_a_duplicate_inside_one_block_counts_once(pool: AnyPool) -> None:
    result = pool.upsert(samples([100, 101, 100], keys=[5, 6, 5]))
    assert result.inserted.tolist() == [True, True, False] and result.duplicate.tolist() == [False, False, True]
    assert len(pool) == 2


def test_window_by_count_keeps_the_newest(make: Maker, tmp_path: Path, matcher: Matcher) -> None:
    pool = make(tmp_path / "pool", small(window_count=25))
    block = samples(range(100, 200), seed=1)
    for at in range(0, 100, 10):
        assert pool.upsert(block.take(slice(at, at + 10))).inserted.all()
        assert len(pool) == min(25, at + 10)
    assert found_items(pool, matcher) == set(block.item[-25:].tolist())


def test_window_by_age_follows_event_time(make: Maker, tmp_path: Path) -> None:
    pool = make(tmp_path / "pool", small(window_age_ms=30))
    block = samples(range(100, 200), users=[1, 2, 3, 4] * 25, seed=1)
    for at in range(0, 100, 10):
        pool.upsert(block.take(slice(at, at + 10)))
    assert 30 <= len(pool) <= 33, "time is what three of four users have reached"
    pool.upsert(samples([1000, 1000, 1000], keys=[777, 778, 779], users=[1, 2, 3]))
    assert len(pool) == 3


def test_one_clock_that_is_far_ahead_empties_no_window(make: Maker, tmp_path: Path, matcher: Matcher) -> None:
    pool = make(tmp_path / "pool", small(window_age_ms=50))
    block = samples(range(100, 160), users=[1, 2, 3, 4, 5] * 12, seed=1)
    pool.upsert(block.take(slice(0, 30)))
    for n in range(20):
        assert pool.upsert(samples([10**12 + n], keys=[777 + n], users=[1 + n % 2])).inserted.all()
    assert pool.upsert(block.take(slice(30, 60))).inserted.all()
    assert found_items(pool, matcher, before_ms=160) == set(block.item[11:60].tolist())


def test_late_samples_are_taken_inside_the_window_and_refused_outside(make: Maker, tmp_path: Path) -> None:
    pool = make(tmp_path / "pool", small(window_age_ms=50))
    assert pool.upsert(samples([100, 130, 130], users=[1, 2, 3])).inserted.all()
    result = pool.upsert(samples([80, 81, 120], keys=[11, 12, 13], users=[4, 4, 4]))
    assert result.late.tolist() == [True, False, False] and result.refused() == {"duplicate": 0, "late": 1}
    assert len(pool) == 5


def test_what_has_left_never_comes_back(make: Maker, tmp_path: Path) -> None:
    pool = make(tmp_path / "pool", small(window_count=10))
    block = samples(range(100, 130))
    pool.upsert(block)
    again = pool.upsert(block)
    assert again.late.sum() == 20 and again.duplicate.sum() == 10 and len(pool) == 10


def test_samples_of_one_moment_leave_in_the_order_of_their_keys(make: Maker, tmp_path: Path) -> None:
    """So that the window is the same in whatever order they came."""
    windows = []
    for turn, order in enumerate(([3, 1, 5, 2, 4], [5, 4, 3, 2, 1])):
        pool = make(tmp_path / f"pool{turn}", small(window_count=2))
        for key in order:
            pool.upsert(samples([100], keys=[key], seed=key))
        windows.append(found_items(pool, Nearest()))
    expected = {int(samples([100], keys=[key], seed=key).item[0]) for key in (4, 5)}
    assert windows == [expected, expected]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("field", "what"), [("logit", "logit"), ("match_key", "match key")])
def test_a_number_that_is_not_finite_is_refused_by_row_and_nothing_is_written(
    pool: AnyPool, bad: float, field: str, what: str
) -> None:
    block = samples([100, 101, 102])
    getattr(block, field)[1, ...] = bad
    with pytest.raises(VectorError, match=f"{what} in row 1 of 3"):
        pool.upsert(block)
    assert len(pool) == 0
    assert pool.upsert(samples([100, 101, 102])).inserted.all()


def test_vectors_of_the_wrong_width_are_refused(pool: AnyPool) -> None:
    with pytest.raises(VectorError, match=f"match key.* {KEY_DIM} wide"):
        pool.upsert(samples([100], key_dim=KEY_DIM + 1))
    with pytest.raises(VectorError, match=f"{KEY_DIM} wide"):
        pool.search(random_keys(1, 0, KEY_DIM + 1), NOBODY, LATER, 3)
    with pytest.raises(VectorError, match="row 0 of 1"):
        pool.search(np.full((1, KEY_DIM), np.nan, np.float32), NOBODY, LATER, 3)


@pytest.mark.parametrize("other", [ModelId("", 3), ModelId("00000000000000aa", 2), ModelId("", 2, "00000000000000aa")])
def test_models_never_mix(pool: AnyPool, other: ModelId) -> None:
    pool.upsert(samples([100], version=2))
    with pytest.raises(PoolError, match="cannot join"):
        pool.upsert(replace(samples([101], keys=[9]), model=other))
    assert pool.model == ModelId("", 2) and len(pool) == 1


def test_two_models_of_one_number_leave_nothing_of_each_other(make: Maker, tmp_path: Path) -> None:
    """A topic made anew begins with number 1 again: what the other number 1 made is not found by its keys."""
    block, query = samples(range(100, 160), seed=1), np.full(1, 10_000)
    assert block.match_key is not None and block.logit is not None
    turned = replace(block, match_key=np.roll(block.match_key, 1, axis=1), model=ModelId("00000000000000aa", 1))
    pool, anew = make(tmp_path / "pool", small()), make(tmp_path / "anew", small())
    pool.upsert(block)
    pool.reencode(lambda some: turned.take(np.searchsorted(turned.sample, some.sample)))
    anew.upsert(turned)
    assert turned.match_key is not None
    for key in (block.match_key[:1], turned.match_key[:1]):
        found = [each.search(key, NOBODY, query, 10).score for each in (pool, anew)]
        assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert pool.model == turned.model


def test_reencoding_changes_logits_match_keys_and_version_and_nothing_else(pool: AnyPool, matcher: Matcher) -> None:
    block = filled(pool)
    keys, moved = random_keys(1, 5), random_keys(1, 6)
    assert block.match_key is not None
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(KEY_DIM, KEY_DIM)))[0].astype(np.float32)

    def encode(some: SampleBlock) -> SampleBlock:
        assert (some.history_item[:, 0] == some.sample).all()
        old = block.take(np.searchsorted(block.sample, some.sample))
        assert old.match_key is not None and old.logit is not None
        return some.with_encoding(old.logit * 2, old.match_key @ turn, ModelId("", 7))

    def logits() -> dict[int, float]:
        (everyone,) = pool.candidates(matcher.match(pool, keys, NOBODY, LATER, 100))
        return dict(zip(everyone.item.tolist(), everyone.logit.tolist(), strict=True))

    before, doubled = pool.search(keys, NOBODY, LATER, 10), {item: 2 * logit for item, logit in logits().items()}
    pool.reencode(encode)
    assert pool.model.version == 7 and logits() == doubled and set(doubled) == set(block.item.tolist())
    after = pool.search(keys @ turn, NOBODY, LATER, 10)
    assert after.score == pytest.approx(before.score, abs=1e-5)
    assert pool.search(moved, NOBODY, LATER, 10).score != pytest.approx(before.score, abs=1e-3)
    assert pool.upsert(samples([500], keys=[1234], version=7)).inserted.all()


def test_shards_together_find_what_one_pool_finds(make: Maker, tmp_path: Path, matcher: Matcher) -> None:
    block = samples(range(100, 500), seed=1)
    whole = make(tmp_path / "whole", small())
    whole.upsert(block)
    shards = [make(tmp_path / f"shard{n}", small()) for n in range(3)]
    for n, shard in enumerate(shards):
        shard.upsert(block.take(np.flatnonzero(block.sample % 3 == n)))
    query, k = (random_keys(1, 5), askers(2), np.array([450])), 60
    assert share(k, 3) < k
    merged = best_of([s.scored(matcher.match(s, *query, share(k, 3)))[0] for s in shards], k)
    expected = whole.scored(matcher.match(whole, *query, k))[0]
    assert merged.candidates.item.tolist() == expected.candidates.item.tolist()
    assert merged.score == pytest.approx(expected.score)


def test_identical_vectors_do_not_hide_others(make: Maker, tmp_path: Path) -> None:
    """Everyone without a history has the same vector; as nodes of a graph they would cut it apart."""
    pool = make(tmp_path / "pool", small(segment_rows=400))
    keys = random_keys(400, 1)
    keys[50:350] = keys[0]
    block = samples(range(100, 500), match_key=keys, labels=[1] * 400)
    pool.upsert(block)
    matches = pool.search(keys[350:], np.full(50, 999, np.uint64), np.full(50, 10_000), 1)
    assert matches.score[:, 1, 0] == pytest.approx(np.ones(50), abs=1e-5)
    everyone = pool.search(keys[:1], NOBODY, LATER, 301)
    assert everyone.score[0, 1, :300] == pytest.approx(np.ones(300), abs=1e-5)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="window_count is 0"):
        PoolSpec(window_count=0).checked()


def test_a_sample_that_left_and_comes_again_does_not_say_what_time_it_is(make: Maker, tmp_path: Path) -> None:
    """Else it would depend on a restart, which forgets what has left, what is late."""
    pool = make(tmp_path / "aged", small(window_age_ms=20))
    gone = samples([60], keys=[1], users=[1])
    for block in (gone, samples([120, 100, 90], keys=[2, 3, 4], users=[1, 2, 3]), gone):
        late = pool.upsert(block).late
    assert late.tolist() == [True]
    assert pool.upsert(samples([118, 90], keys=[5, 6], users=[3, 2])).late.tolist() == [False, True]
