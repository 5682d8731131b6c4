"""Vectors as bytes: their inner products from a quarter of the memory, and how far off these may be.

A vector x is a `step` of its own times its code, but for a rest; and so is a query q. Hence
|q·x - steps · product of the codes| ≤ |q| · |rest of x| + |rest of q| · |coded part of x|, whatever the vectors are.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from index.column import Column
from wire.arrays import F32, F64, I8, I32

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
# From AVX-512 on torch has a kernel for products of bytes. Else it multiplies them one by one, which takes many times
# as long as products of float32 (`index.floats`); `python -m benchmarks.pool` shows it.
FAST_BYTES = torch.backends.cpu.get_cpu_capability() == "AVX512"


@dataclass(frozen=True, slots=True)
class Products:
    """Of the code of one query with those of n vectors, each times the vector's step."""

    product: F32  # (n,)
    unit: float  # what 1 of it stands for: the query's step
    error: float  # how far exact products, and what float32 makes of them, may be from it

    def least(self, exact: float) -> float:
        """The least product that may stand for this exact one."""
        least = np.float32((float(exact) - self.error) / self.unit)
        return float(np.nextafter(least, np.float32(-np.inf)))


class Codes:
    """Vectors of width `dim` and their codes, in an order of which parts are replaced; none at first."""

    def __init__(self, dim: int) -> None:
        self._vector = Column(np.float32, (dim,))
        self._code = Column(np.int8, (dim,))
        self._step = Column(np.float32)
        self._lengths = Column(np.float64, (2,))  # of each vector, and of its rest
        self._longest = np.zeros(2)  # of these

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors, of their codes and of what belongs to these."""
        return self._vector.nbytes + self._code.nbytes + self._step.nbytes + self._lengths.nbytes

    @property
    def values(self) -> F32:
        """The vectors, (n, d), until the next `splice`."""
        return self._vector.values

    def splice(self, start: int, stop: int, vectors: F32) -> None:
        """Put `vectors` (n, d) in the place of those from `start` up to `stop`."""
        step = _step(vectors)
        code, single = _code(vectors, step), step.astype(np.float32)
        both = np.stack([lengths(vectors), lengths(vectors - code * single)], axis=1)
        self._vector.splice(start, stop, vectors)
        self._code.splice(start, stop, code)
        self._step.splice(start, stop, single[:, 0])
        self._lengths.splice(start, stop, both)
        if start < stop:  # the longest may be gone
            both, self._longest = self._lengths.values, np.zeros(2)
        self._longest = np.maximum(self._longest, both.max(axis=0, initial=0))

    def products(self, queries: F32) -> Iterator[Products]:
        """With each of some queries (q, d)."""
        step = _step(queries)
        code = _code(queries, step)
        rests = lengths(queries - code * step.astype(np.float32))
        # d for what float32 makes of a product, 4 for steps and products that are rounded to it.
        rounding = (queries.shape[1] + 4) * np.finfo(np.float32).eps
        rest, coded = self._longest[1], self._longest.sum()
        error = lengths(queries) * (rest + rounding * coded) + rests * coded
        product = product_of(code, self._code.values)
        for mine, unit, far in zip(product, step[:, 0].tolist(), error.tolist(), strict=True):
            yield Products(np.multiply(mine, self._step.values, dtype=np.float32), unit, far)


def _step(vectors: F32) -> F64:
    """What 1 in the code of each vector stands for, (n, 1)."""
    largest: F64 = np.abs(vectors).max(axis=1, keepdims=True, initial=TINY).astype(np.float64)
    return largest / LARGEST


def _code(vectors: F32, step: F64) -> I8:
    return np.rint(vectors * (1 / step).astype(np.float32)).clip(-LARGEST, LARGEST).astype(np.int8)


def lengths(vectors: F32) -> F64:
    """Euclidean lengths (n,); in float32 squares of what is below 1e-19 would be 0."""
    length: F64 = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))  # makes no float64 copy of them
    return length
