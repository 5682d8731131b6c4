from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from device_sim.seen import REMEMBERED, Seen


@given(st.lists(st.integers(1, 60)), st.integers(0, 40))
def test_says_what_a_set_would(keys: list[int], rest_at: int) -> None:
    seen, oracle = Seen(), set[int]()
    for n, key in enumerate(keys):
        if n == rest_at:
            seen = Seen.restore(seen.state())
        assert seen.add(key) == (key not in oracle)
        oracle.add(key)


def test_remembers_the_newest() -> None:
    seen, newest = Seen(), deque[int](maxlen=REMEMBERED)
    for key in range(1, 3 * REMEMBERED):
        assert seen.add(key)
        newest.append(key)
    again = Seen.restore(seen.state())
    assert not any(again.add(key) for key in newest)
    assert again.add(1)
