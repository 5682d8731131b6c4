from collections import deque

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from device_sim.ring import Ring


@given(st.lists(st.integers(0, 255), max_size=200), st.sampled_from([16, 32, 64]), st.integers(0, 200))
def test_holds_what_a_deque_would_also_after_a_rest(values: list[int], most: int, rest_at: int) -> None:
    ring, oracle = Ring(np.uint8, most), deque[int](maxlen=most)
    for n, value in enumerate(values):
        if n == rest_at:
            ring = Ring.restore(np.uint8, most, ring.state())
        ring.add(value)
        oracle.append(value)
        assert sorted(ring.held.tolist()) == sorted(oracle)
    assert ring.state() == bytes(oracle)
