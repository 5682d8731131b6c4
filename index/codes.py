"""Vectors as bytes: their inner products from a quarter of the memory, and how far off these may be.

A vector x is a `step` of its own times its code, but for a rest; and so is a query q. Hence
|q·x - steps · product of the codes| ≤ |q| · |rest of x| + |rest of q| · |coded part of x|, whatever the vectors are.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from index.column import Column
from index.compiled import compiled
from index.products import Made, Passed, Products, pass_over
from wire.arrays import F32, F64, I8, I32, I64

TINY = 1e-12  # vectors are coded as if their largest component were at least this, so that no step is 0


# For AMX oneDNN packs all vectors anew for each product, which takes up to ten times as long as the product without it
# (25,000 vectors, 1 to 64 queries). It reads this when it is first used.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI")


def product_of(queries: I8, codes: I8) -> I32:
    """Of the codes of queries (q, d) with those of vectors (n, d): (q, n)."""
    product: I32 = torch._int_mm(torch.from_numpy(queries), torch.from_numpy(codes).T).numpy()
    return product


def largest_code() -> int:
    """What a byte holds; 78 where a processor adds products in pairs: (78 + 128) · 78 · 2 is below 2^15, and fits."""
    codes = np.full((64, 128), np.iinfo(np.int8).max, np.int8)
    exact = 128 * int(codes[0, 0]) ** 2
    fits = all((product_of(codes[:queries], codes) == exact).all() for queries in (1, len(codes)))
    return int(codes[0, 0]) if fits else 78


LARGEST = largest_code()
# Few queries look at many vectors one by one: n products of each, and what becomes of them, would not stay in a cache.
FEW, MANY = 2, 1 << 17
# From AVX-512 on torch has a kernel for products of bytes. Else it multiplies them one by one, which takes many times
# as long as products of float32 (`index.floats`); `python -m benchmarks.pool` shows it.
FAST_BYTES = torch.backends.cpu.get_cpu_capability() == "AVX512"


class Codes:
    """Vectors of width `dim` and their codes, in an order of which parts are replaced; none at first."""

    def __init__(self, dim: int) -> None:
        self._vector = Column(np.float32, (dim,))
        self._code = Column(np.int8, (dim,))
        self._step = Column(np.float32)
        self._lengths = Column(np.float32, (2,))  # of each vector, and of its rest; no less than that
        self._longest = np.zeros(2)  # of these
        self._pass = pass_over(dim)
        self._columns: tuple[Column[Any], ...] = (self._vector, self._code, self._step, self._lengths)

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors, of their codes and of what belongs to these."""
        return sum(column.nbytes for column in self._columns)

    @property
    def values(self) -> F32:
        """The vectors, (n, d), until the next `splice`."""
        return self._vector.values

    def splice(self, start: int, stop: int, vectors: F32) -> None:
        """Put `vectors` (n, d) in the place of those from `start` up to `stop`."""
        code, step, both = _coded(vectors, LARGEST)
        self._put(start, stop, (vectors, code, step, np.nextafter(both.astype(np.float32), np.float32(np.inf))))

    def keep(self, start: int, stop: int, kept: I64) -> None:
        """Put those at `kept` (n,) in the place of those from `start` up to `stop`."""
        self._put(start, stop, [column.values.take(kept, axis=0) for column in self._columns])

    def products(self, queries: F32) -> Iterator[Products]:
        """With each of some queries (q, d)."""
        code, step, both = _coded(queries, LARGEST)
        # d for what float32 makes of a product, 4 for steps and products that are rounded to it.
        rounding = (queries.shape[1] + 4) * np.finfo(np.float32).eps
        rest, coded = self._longest[1], self._longest.sum()
        error = both[:, 0] * (rest + rounding * coded) + both[:, 1] * coded
        far = zip(step.tolist(), error.tolist(), strict=True)
        if len(queries) <= FEW and len(self._step.values) >= MANY:
            return self._passed(code, far)
        return self._made(code, far)

    def _passed(self, queries: I8, far: Iterable[tuple[float, float]]) -> Iterator[Products]:
        coded = self._code.values, self._step.values
        for query, (unit, error) in zip(queries.astype(np.int16), far, strict=True):
            yield Passed(len(coded[0]), partial(self._pass, query, coded), unit, error)

    def _made(self, queries: I8, far: Iterable[tuple[float, float]]) -> Iterator[Products]:
        for product, (unit, error) in zip(product_of(queries, self._code.values), far, strict=True):
            steps = product.astype(np.float32)
            steps *= self._step.values
            yield Made(steps, unit, error)

    def _put(self, start: int, stop: int, those: Sequence[NDArray[Any]]) -> None:
        for column, values in zip(self._columns, those, strict=True):
            column.splice(start, stop, values)
        longest = self._lengths.values if start < stop else those[-1]  # the longest may be gone
        before = 0 if start < stop else self._longest
        self._longest = np.maximum(before, longest.max(axis=0, initial=0)).astype(np.float64)


@partial(compiled, reorders=True)
def _coded(vectors: F32, most: int) -> tuple[I8, F64, F64]:
    """Of vectors (n, d) the codes, up to `most`, what 1 in each stands for, (n,), and how long each and its rest are,
    (n, 2)."""
    n, d = vectors.shape
    codes, steps, both = np.empty((n, d), np.int8), np.empty(n), np.empty((n, 2))
    for at in range(n):
        largest, length, rests = np.float32(TINY), 0.0, 0.0
        for x in vectors[at]:
            largest = max(largest, abs(x))
        step = np.float64(largest) / most
        inverse, single = np.float32(1 / step), np.float32(step)
        for i in range(d):
            x = vectors[at, i]
            code = min(max(np.rint(x * inverse), np.float32(-most)), np.float32(most))
            rest = np.float64(x - code * single)
            codes[at, i] = np.int8(code)
            length += np.float64(x) * np.float64(x)
            rests += rest * rest
        steps[at], both[at, 0], both[at, 1] = step, np.sqrt(length), np.sqrt(rests)
    return codes, steps, both
