import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.arrays import I64
from models.training_rows import TrainingRows


def flat_rows(pair: I64, pairs: int) -> TrainingRows:
    number = np.arange(1, len(pair) + 1)
    return TrainingRows.from_flat(
        pair,
        pairs,
        features=np.repeat(number[:, None], 3, axis=1).astype(np.float32),
        label=(number % 2).astype(np.float32),
        weight=np.ones(len(pair), np.float32),
        outside=np.zeros(len(pair), np.float32),
        item=number.astype(np.uint32),
        category=number.astype(np.uint32),
    )


@given(st.lists(st.integers(0, 4), max_size=40))
def test_every_pair_gets_its_rows_in_order(owners: list[int]) -> None:
    rows = flat_rows(np.array(owners, np.int64), 5)
    assert rows.label.shape[1] % 8 == 0
    for pair in range(5):
        wanted = [i + 1 for i, owner in enumerate(owners) if owner == pair]
        assert rows.item[pair, : len(wanted)].tolist() == wanted
        assert rows.counts[pair] == len(wanted) and (rows.weight[pair, len(wanted) :] == 0).all()


def test_concat_and_take_undo_each_other() -> None:
    short, long = flat_rows(np.zeros(3, np.int64), 1), flat_rows(np.ones(20, np.int64), 2)
    joined = TrainingRows.concat([short, long])
    assert joined.counts.tolist() == [3, 0, 20] and joined.label.shape == (3, 24)
    np.testing.assert_array_equal(joined.take(np.array([0])).features, short.features)
    np.testing.assert_array_equal(joined.take(slice(1, 3)).item, long.item)
