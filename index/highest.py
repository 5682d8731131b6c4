"""The k highest of each query's scores: most of what a search costs once it compares with every vector.

Of many scores few can be among the highest, and a sample of them says about which: so only those at or above some
high score of the sample are partitioned (`python -m benchmarks.pool`: every row compared 1.8 times as fast).
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from index.fetched import Scores
from models.runs import places
from wire.arrays import F32, I64

T = TypeVar("T", bound=np.generic)

STRIDE = 16  # one score in so many is looked at first
# How many more than its share the sample's k-th is taken from, in standard deviations of how many of the k it holds
# (√(k/16)), and so many besides, for small k: too few are left less than once in 30,000 rows of independent scores, and
# those rows are partitioned whole.
MARGIN = 4
NEARLY = 2  # the same where too few cost little
SIFTED_FROM = 4096  # scores, and 4 for each of k: with fewer, little is won and single queries lose


def highest(score: Scores, k: int) -> tuple[I64, Scores]:
    """Columns of the k highest scores per row of (q, n), and those scores, in no order; all n when n <= k.

    >>> columns, scores = highest(np.array([[.1, .4, .3, .2]]), 2)
    >>> sorted(columns[0].tolist()), sorted(scores[0].tolist())
    ([1, 2], [0.3, 0.4])
    """
    n = score.shape[1]
    if n <= k:
        return np.tile(np.arange(n), (len(score), 1)), score
    columns = _partitioned(score, k) if n < SIFTED_FROM + 4 * k else _sifted(score, k)
    return columns, pick(score, columns)


def top_k(score: Scores, k: int) -> tuple[I64, Scores]:
    """The same, best first; equal scores in no order."""
    columns, best = highest(score, k)
    order = np.argsort(np.negative(best), axis=1)  # not a stable sort: that takes four times as long for 800
    return pick(columns, order), pick(best, order)


def pick(table: NDArray[T], columns: I64) -> NDArray[T]:
    """The `columns` (q, m) of each row of a table (q, n): `np.take_along_axis` in a third of its time."""
    picked: NDArray[T] = table.ravel().take(columns + table.shape[1] * np.arange(len(table))[:, None])
    return picked


def reached_by_about(score: F32, k: int) -> float:
    """What k of n scores reach, and few more, or seldom less, where n is large; -inf where k is n or more."""
    if len(score) <= k:
        return -np.inf
    if len(score) < SIFTED_FROM + 4 * k:
        return float(np.partition(score, len(score) - k)[len(score) - k])
    return float(_reached_by_about(score[None], k, NEARLY)[0])


def sampled(score: F32, share: float) -> float:
    """What about k of n scores reach, where `score` (m,) is a sample that holds `share` of the k on the average; -inf
    where it is too small to tell."""
    rank = _rank(share, NEARLY)
    return float(np.partition(score, len(score) - rank)[len(score) - rank]) if rank < len(score) else -np.inf


def _partitioned(score: Scores, k: int) -> I64:
    columns: I64 = np.argpartition(score, score.shape[1] - k, axis=1)[:, score.shape[1] - k :]
    return columns


def _sifted(score: Scores, k: int) -> I64:
    least = _reached_by_about(score, k, MARGIN)
    kept, kept_score, count = _at_least(least, score, k)
    columns = pick(kept, _partitioned(kept_score, k))
    again = np.flatnonzero((count < k) | np.isneginf(least))
    columns[again] = _partitioned(score[again], k)
    return columns


def _reached_by_about(score: NDArray[T], k: int, margin: int) -> NDArray[T]:
    """A score per row that somewhat more than k of its scores reach, (q,)."""
    few = score[:, ::STRIDE]
    rank = few.shape[1] - _rank(k / STRIDE, margin)
    least: NDArray[T] = np.partition(few, rank, axis=1)[:, rank]
    return least


def _rank(share: float, margin: int) -> int:
    """Which of a sample to take, the highest being 1."""
    return int(share + margin * share**0.5 + margin)


def _at_least(least: Scores, score: Scores, k: int) -> tuple[I64, Scores, I64]:
    """Columns and scores of what reaches `least`, padded to the longest row, or k (-inf), and how many each row has."""
    flat = np.flatnonzero(score >= least[:, None])
    row, column = np.divmod(flat, score.shape[1])
    count = np.bincount(row, minlength=len(score))
    place = places(count)
    columns = np.zeros((len(score), count.max(initial=k)), np.int64)
    scores = np.full(columns.shape, -np.inf, score.dtype)
    columns[row, place], scores[row, place] = column, score.ravel()[flat]
    return columns, scores, count
