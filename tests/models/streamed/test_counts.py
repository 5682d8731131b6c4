import numpy as np

from models.streamed.counts import Counts
from wire.arrays import I64, U32


def _taken(counts: Counts, key: U32, timestamp: I64) -> None:
    counts.learn(key, np.ones(len(key), np.uint8), timestamp)


def test_a_moment_of_more_things_than_there_is_room_for_is_counted_all_the_same() -> None:
    counts = Counts(8, impressions=False)
    day = np.full(20, 86_400_000)
    _taken(counts, np.arange(1, 21, dtype=np.uint32), day)
    shares, of_none = counts.lately(counts.of(np.array([20, 99], np.uint32)), day[:2])[0]
    assert (shares > of_none).all(), "the last one has its row, and nothing is counted for what has none"
