"""Bins: a feature in pieces, so that a linear model can follow whatever shape it has."""

from typing import Self

import numpy as np

from models.streamed.rest import Rest
from wire.arrays import F32, I64

BINS = 16  # about as full as each other, beside one for what is most common
_LEARNED_FROM = 50_000  # rows, evenly spread: a bin of 3,000 is found within 2 % of its width


class Bins:
    """Where each of f features is cut, as `features` (n, f) of an initial part are spread.

    >>> Bins(np.array([[0], [0], [0], [1], [9]], np.float32)).of(np.array([[0], [1], [5], [99]], np.float32))[:, 0]
    array([ 0,  1,  8, 16])
    """

    def __init__(self, features: F32) -> None:
        some = features[:: max(len(features) // _LEARNED_FROM, 1)]
        self._cut([_edges(column) for column in some.T])

    def state(self) -> Rest:
        """The cuts at rest."""
        return self._edges

    @classmethod
    def restore(cls, state: Rest) -> Self:
        """Those that were at rest in `state`."""
        bins = cls(np.zeros((1, 0), np.float32))
        bins._cut(list(state))
        return bins

    def of(self, features: F32) -> I64:
        """The bin of each, (n, f)."""
        below = np.less(self._table[:, None], features)
        bins: I64 = below.sum(axis=0, dtype=np.uint8).astype(np.int64)
        return bins

    def _cut(self, edges: list[F32]) -> None:
        self._edges = edges
        # Side by side, (edges, f): a block is compared with all of them at once, column by column takes a search each.
        self._table: F32 = np.full((max(map(len, edges), default=0), len(edges)), np.inf, np.float32)
        for column, of in enumerate(edges):
            self._table[: len(of), column] = of


def _edges(column: F32) -> F32:
    """Upper ends of all bins but the last. What is most common, often "none", is not to swallow the others' bins."""
    values, count = np.unique(column, return_counts=True)
    common = values[np.argmax(count)]
    others = column[column != common]
    if not len(others):
        return values
    edges: F32 = np.unique(np.append(np.quantile(others, np.linspace(0, 1, BINS + 1)[1:-1]), common))
    return edges.astype(np.float32)
