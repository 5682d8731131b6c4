import numpy as np

from models.streamed.slots import EMPTY, Slots


def test_who_was_not_placed_for_longest_goes_and_its_row_is_told() -> None:
    slots = Slots(8)
    slots.place(list(range(8)), np.arange(8))
    slots.place([0], np.array([100]))
    rows, new = slots.place([50, 51], np.array([101, 102]))
    assert slots.of([1, 2]).tolist() == [EMPTY, EMPTY] and EMPTY not in slots.of([0, *range(3, 8)])
    assert sorted(rows.tolist()) == sorted(new.tolist()) == [1, 2], "the rows of those that went"
    assert len(slots) == 8


def test_a_block_never_evicts_what_it_holds_itself() -> None:
    slots = Slots(4)
    slots.place([1, 2, 3, 4], np.arange(4))
    rows, _ = slots.place([1, 7, 8, 2], np.full(4, 9))
    assert EMPTY not in rows and len(set(rows.tolist())) == 4
    assert slots.of([3, 4]).tolist() == [EMPTY, EMPTY]


def test_nor_where_all_were_placed_at_one_time() -> None:
    slots = Slots(4)
    slots.place([1, 2, 3, 4], np.ones(4, np.int64))
    rows, _ = slots.place([1, 5], np.ones(2, np.int64))
    assert EMPTY not in rows and len(slots) == 4
