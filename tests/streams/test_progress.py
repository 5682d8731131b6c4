from hypothesis import given
from hypothesis import strategies as st

from streams.progress import Progress

_P = ("candidates", 0)


@given(st.permutations(range(8)), st.integers(0, 8))
def test_only_a_gapless_run_may_be_committed(order: list[int], finished: int) -> None:
    progress = Progress()
    for offset in range(8):
        progress.started(_P, offset)
    for offset in order[:finished]:
        progress.done(_P, offset)
    done = set(order[:finished])
    gapless = next((offset for offset in range(8) if offset not in done), 8)
    assert progress.positions() == ({_P: gapless} if gapless else {})
    assert progress.unfinished() == 8 - gapless


def test_positions_are_given_once() -> None:
    progress = Progress()
    progress.started(_P, 3)
    progress.done(_P, 3)
    assert progress.positions() == {_P: 4}
    assert progress.positions() == {}


def test_offsets_may_have_gaps() -> None:
    progress = Progress()
    progress.started(_P, 3)
    progress.started(_P, 9)
    progress.done(_P, 3)
    progress.done(_P, 9)
    assert progress.positions() == {_P: 10}


def test_a_forgotten_partition_is_no_longer_ours_to_commit() -> None:
    progress = Progress()
    progress.started(_P, 1)
    progress.forget(_P)
    progress.done(_P, 1)
    assert progress.positions() == {}
    assert progress.unfinished() == 0


def test_a_message_done_twice_changes_nothing() -> None:
    progress = Progress()
    progress.started(_P, 1)
    progress.started(_P, 2)
    progress.done(_P, 1)
    progress.done(_P, 1)
    progress.done(_P, 2)
    assert progress.positions() == {_P: 3}
