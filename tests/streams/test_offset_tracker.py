from hypothesis import given
from hypothesis import strategies as st

from streams.offset_tracker import OffsetTracker

_P = ("candidates", 0)


@given(st.permutations(range(8)), st.integers(0, 8))
def test_only_a_gapless_run_may_be_committed(order: list[int], finished: int) -> None:
    offsets = OffsetTracker()
    for offset in range(8):
        offsets.started(_P, offset)
    for offset in order[:finished]:
        offsets.done(_P, offset)
    done = set(order[:finished])
    gapless = next((offset for offset in range(8) if offset not in done), 8)
    assert offsets.positions() == ({_P: gapless} if gapless else {})
    assert offsets.unfinished() == 8 - gapless


def test_positions_are_given_once() -> None:
    offsets = OffsetTracker()
    offsets.started(_P, 3)
    offsets.done(_P, 3)
    assert offsets.positions() == {_P: 4}
    assert offsets.positions() == {}


def test_offsets_may_have_gaps() -> None:
    offsets = OffsetTracker()
    offsets.started(_P, 3)
    offsets.started(_P, 9)
    offsets.done(_P, 3)
    offsets.done(_P, 9)
    assert offsets.positions() == {_P: 10}


def test_a_forgotten_partition_is_no_longer_ours_to_commit() -> None:
    offsets = OffsetTracker()
    offsets.started(_P, 1)
    offsets.forget(_P)
    offsets.done(_P, 1)
    assert offsets.positions() == {}
    assert offsets.unfinished() == 0


def test_a_message_done_twice_changes_nothing() -> None:
    offsets = OffsetTracker()
    offsets.started(_P, 1)
    offsets.started(_P, 2)
    offsets.done(_P, 1)
    offsets.done(_P, 1)
    offsets.done(_P, 2)
    assert offsets.positions() == {_P: 3}
