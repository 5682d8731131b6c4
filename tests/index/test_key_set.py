"""A set of keys is as Python's are."""

from typing import Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from index.key_set import LEAST_PLACES, KeySet
from wire.arrays import U64

# Few, so that they come again and are removed, and near each other.
KEYS = [*range(6), 2**64 - 1, *(n << 42 for n in range(1, 40))]
Step = tuple[Literal["add", "remove"], list[int]]
STEP: st.SearchStrategy[Step] = st.tuples(
    st.sampled_from(("add", "remove")), st.lists(st.sampled_from(KEYS), max_size=30)
)


def keys(of: list[int]) -> U64:
    return np.array(of, np.uint64)


@given(st.lists(STEP, max_size=30))
def test_as_python_s_set(steps: list[Step]) -> None:
    ours, theirs = KeySet(), set[int]()
    for which, some in steps:
        if which == "add":
            ours.add(keys(some))
            theirs |= set(some)
        else:
            ours.remove(keys(some))
            theirs -= set(some)
        assert len(ours) == len(theirs)
        assert ours.has(keys(KEYS)).tolist() == [key in theirs for key in KEYS]


@given(st.integers(0, 2**32), st.integers(1, 20_000))
def test_grows_and_shrinks_with_what_is_in_it(seed: int, n: int) -> None:
    there, known = np.random.default_rng(seed).integers(0, 2**64, n, np.uint64, endpoint=False), KeySet()
    for some in np.array_split(there, 7):
        known.add(some)
    assert known.has(there).all() and len(known) == n
    assert known.nbytes <= max(8 * LEAST_PLACES, 24 * n)
    known.remove(there[: n - n // 10])
    assert known.has(there).tolist() == [False] * (n - n // 10) + [True] * (n // 10)
    assert known.nbytes <= max(8 * LEAST_PLACES, 64 * (n // 10))
