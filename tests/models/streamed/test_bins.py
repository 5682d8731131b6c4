import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.streamed.bins import Bins

EVEN = st.floats(-100, 100, width=32).map(lambda number: round(number, 1))


@settings(deadline=None)
@given(st.lists(st.tuples(EVEN, EVEN), min_size=1, max_size=60), st.lists(st.tuples(EVEN, EVEN), max_size=20))
def test_a_bin_is_how_many_cuts_lie_below(initial: list[tuple[float, float]], asked: list[tuple[float, float]]) -> None:
    bins = Bins(np.array(initial, np.float32))
    points = np.array([*initial, *asked], np.float32)
    expected = [np.searchsorted(cuts, column) for cuts, column in zip(bins.state(), points.T, strict=True)]
    assert bins.of(points).tolist() == np.array(expected).T.tolist()
    assert Bins.restore(bins.state()).of(points).tolist() == bins.of(points).tolist()
