import numpy as np
import pytest

from models.streamed.features import Streamed
from models.streamed.moments import Moments


def moments(rows: list[tuple[int, int, int, int, int]]) -> Moments:
    """Rows of user, item, category, label, time."""
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    types = (np.uint64, np.uint32, np.uint32, np.uint8, np.int64)
    return Moments(*(column.astype(kind) for column, kind in zip(columns, types, strict=True)))


def feature(streamed: Streamed, name: str, rows: list[tuple[int, int, int, int, int]]) -> list[float]:
    found: list[float] = streamed.take(moments(rows)).features[:, streamed.names.index(name)].tolist()
    return found


def test_the_crowd_knows_what_it_was_told_and_a_user_what_they_did() -> None:
    streamed = Streamed(impressions=False)
    seen = streamed.take(moments([(1, 7, 3, 1, 1000)]))
    ask = [(1, 7, 3, 0, 2000), (2, 7, 3, 0, 2000)]
    assert feature(streamed, "times", ask) == [1, 0]
    assert feature(streamed, "item_age", ask) == [-1, -1]
    streamed.learn(seen)
    later = [(1, 7, 3, 0, 61_000), (2, 7, 3, 0, 61_000)]
    assert feature(streamed, "item_age", later) == pytest.approx([np.log1p(1)] * 2)
    assert (
        feature(streamed, "item_share_10m", later)[0] > feature(streamed, "item_share_10m", [(2, 8, 3, 0, 61_000)])[0]
    )


def test_items_that_the_same_people_take_are_near() -> None:
    streamed = Streamed(impressions=False)
    for user in range(40):
        liked = 10 if user % 2 else 20
        rows = [(user, liked + n, 1, 1, 1000 * (100 * user + n)) for n in range(5)]
        streamed.learn(streamed.take(moments(rows)))
    start = [(99, 10 + n, 1, 1, 10**7 + n) for n in range(3)]
    streamed.take(moments(start))
    like, unlike = feature(streamed, "near_fading_1d", [(99, 14, 1, 0, 10**7 + 9), (99, 24, 1, 0, 10**7 + 9)])
    assert like > 1 and unlike == 0


def test_without_impressions_what_was_not_taken_moves_nothing_of_the_crowd() -> None:
    quiet, told = Streamed(impressions=False), Streamed(impressions=False)
    told.learn(told.take(moments([(1, 7, 3, 0, 1000)] * 5)))
    ask = moments([(2, 7, 3, 0, 2000)])
    assert quiet.take(ask).features.tolist() == told.take(ask).features.tolist()


def test_a_rate_is_what_was_taken_of_what_was_shown() -> None:
    streamed = Streamed(impressions=True)
    rows = [(n, 7 + n % 2, 3, int(n % 2 or n % 10 == 0), 1000 + n) for n in range(400)]
    streamed.learn(streamed.take(moments(rows)))
    seldom, often = feature(streamed, "item_rate_1d", [(999, 7, 3, 0, 2000), (999, 8, 3, 0, 2000)])
    assert seldom == pytest.approx(0.2, abs=0.07) and often == pytest.approx(1, abs=0.07)


def test_every_feature_has_a_name_and_a_number() -> None:
    for impressions in (False, True):
        streamed = Streamed(impressions=impressions)
        found = streamed.take(moments([(1, 7, 3, 1, 1000)])).features
        assert found.shape == (1, len(streamed.names)) and np.isfinite(found).all()
        assert len(set(streamed.names)) == len(streamed.names)
