"""Runs: rows that belong together lie next to each other, and only the lengths of the runs are known."""

import numpy as np

from wire.arrays import I64


def places(lengths: I64) -> I64:
    """The place of every row within its run, for runs of these lengths one after the other.

    >>> places(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
