import numpy as np

from models.streamed.features import Seen
from models.streamed.moments import Moments
from streams.base.newest import Newest, features_of, label_of


def block(*numbers: int) -> Seen:
    """Moments that are called by their feature, with labels odd or even."""
    of = np.array(numbers)
    keys = of.astype(np.uint64), of.astype(np.uint32), of.astype(np.uint32)
    moments = Moments(*keys, (of % 2).astype(np.uint8), of.astype(np.int64))
    return Seen(moments, of[:, None].astype(np.float32), moments.category, of[:, None].astype(np.uint32))


def test_the_oldest_blocks_go_when_there_are_more_than_fit() -> None:
    newest = Newest(5)
    for numbers in ((1, 2), (3, 4), (5,), (6, 7)):
        newest.add(block(*numbers))
    assert features_of(newest)[:, 0].tolist() == [3, 4, 5, 6, 7] and label_of(newest).tolist() == [1, 0, 1, 0, 1]
    assert len(newest) == 5 and [len(seen) for seen in newest] == [2, 1, 2]


def test_a_block_that_is_too_long_by_itself_stays() -> None:
    newest = Newest(2)
    newest.add(block(1))
    newest.add(block(2, 3, 4))
    assert features_of(newest)[:, 0].tolist() == [2, 3, 4]


def test_who_goes_on_has_the_same_blocks_by_the_same_numbers_though_older_ones_are_kept_too() -> None:
    newest, all_blocks = Newest(4), dict[int, Seen]()
    for numbers in ((1,), (2, 3), (4, 5), (6, 7)):
        newest.add(block(*numbers))
        all_blocks |= newest.blocks
        other = Newest(4)
        other.restore(all_blocks)
        assert [*other.blocks] == [*newest.blocks]
        assert features_of(other).tolist() == features_of(newest).tolist()
