"""Pauses between attempts: never too long, spread evenly, the same for the same seed."""

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from device_sim.backoff import CAP_S, Backoff

SECONDS = st.floats(0.001, 3600)


@given(st.integers(0, 2**31), SECONDS, SECONDS, st.integers(0, 10_000))
def test_no_pause_is_longer_than_its_ceiling_and_none_than_the_cap(
    seed: int, base_s: float, cap_s: float, failures: int
) -> None:
    backoff = Backoff(Random(seed), base_s, cap_s)
    pause_s = backoff.pause_s(failures)
    assert 0 <= pause_s <= backoff.ceiling_s(failures) <= cap_s
    assert backoff.ceiling_s(failures) <= backoff.ceiling_s(failures + 1)


@given(st.integers(0, 2**31))
def test_who_is_cut_at_one_moment_comes_back_all_along_the_window(seed: int) -> None:
    random = Random(seed)
    pauses = [Backoff(random).pause_s(20) for _ in range(1000)]
    peak = np.histogram(pauses, bins=10, range=(0, CAP_S))[0].max()
    assert peak <= 1.5 * 100


@given(st.integers(0, 2**31), st.integers(0, 40))
def test_the_same_seed_gives_the_same_pauses(seed: int, failures: int) -> None:
    one, other = (Backoff(Random(seed)) for _ in range(2))
    assert [one.pause_s(failures) for _ in range(5)] == [other.pause_s(failures) for _ in range(5)]
