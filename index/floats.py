"""Vectors as they are, and how far off float32 may be: for processors that have no fast products of bytes.

Of d numbers |float32's q·x - q·x| ≤ d · eps / 2 · |q| · |x|, in whatever order they are summed (Higham 2002, 3.1), but
for what is too small for float32.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from index.column import Column
from index.products import Made, Products
from wire.arrays import F32, F64, I64

# A product with one query reads all vectors once. With several, BLAS first copies them, which takes as long as three
# products with one, and as long again where queries come first: that pays from some 16 on, as what comes out has each
# query's numbers side by side then (25,000 to 100,000 vectors of 96 numbers).
FEW, SOME = 3, 16


class Floats:
    """Vectors of width `dim`, in an order of which parts are replaced; none at first."""

    def __init__(self, dim: int) -> None:
        self._vector = Column(np.float32, (dim,))
        self._length = Column(np.float64)
        self._longest = 0.0

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors and of what belongs to them."""
        return self._vector.nbytes + self._length.nbytes

    @property
    def values(self) -> F32:
        """The vectors, (n, d), until the next `splice`."""
        return self._vector.values

    def splice(self, start: int, stop: int, vectors: F32) -> None:
        """Put `vectors` (n, d) in the place of those from `start` up to `stop`."""
        self._put(start, stop, vectors, _lengths(vectors))

    def keep(self, start: int, stop: int, kept: I64) -> None:
        """Put those at `kept` (n,) in the place of those from `start` up to `stop`."""
        self._put(start, stop, self._vector.values.take(kept, axis=0), self._length.values.take(kept))

    def products(self, queries: F32) -> Iterator[Products]:
        """With each of some queries (q, d); twice what one may be off, since two are compared."""
        single, d = np.finfo(np.float32), queries.shape[1]
        error = _lengths(queries) * (d * single.eps * self._longest) + 2 * d * single.tiny
        for product, far in zip(self._products(queries), error.tolist(), strict=True):
            yield Made(np.ascontiguousarray(product), 1.0, far)

    def _put(self, start: int, stop: int, vectors: F32, length: F64) -> None:
        self._vector.splice(start, stop, vectors)
        self._length.splice(start, stop, length)
        if start < stop:  # the longest may be gone
            length, self._longest = self._length.values, 0.0
        self._longest = max(self._longest, float(length.max(initial=0)))

    def _products(self, queries: F32) -> Iterable[F32]:
        vectors = self._vector.values
        if len(queries) <= FEW:
            return (vectors @ query for query in queries)
        return iter((vectors @ queries.T).T if len(queries) <= SOME else queries @ vectors.T)


def _lengths(vectors: F32) -> F64:
    """Euclidean lengths (n,); in float32 squares of what is below 1e-19 would be 0."""
    length: F64 = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))  # makes no float64 copy of them
    return length
