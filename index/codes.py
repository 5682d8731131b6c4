"""Vectors as bytes: their inner products from a quarter of the memory, and how far off these may be.

A vector x is a `step`, the same for all, times its code, but for a rest; and so is a query q. Hence
|q·x - steps · product of the codes| ≤ |q| · |rest of x| + |rest of q| · |coded part of x|, whatever the vectors are.
"""

from dataclasses import dataclass

import numpy as np
import torch

from wire.arrays import F32, F64, I8, I32

TINY = 1e-12  # vectors are coded as if their largest component were at least this, so that no step is 0


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


@dataclass(frozen=True, slots=True)
class Products:
    """Of the code of one query with those of n vectors."""

    product: I32  # (n,)
    unit: float  # what 1 of it stands for
    error: float  # how far exact products, and what float32 makes of them, may be from it

    def least(self, exact: float) -> int:
        """The least product that may stand for this exact one."""
        least = np.floor((float(exact) - self.error) / self.unit)
        return int(min(max(least, np.iinfo(np.int32).min), np.iinfo(np.int32).max))


class Codes:
    """The codes of vectors, and `room` for more."""

    def __init__(self, vectors: F32, room: int) -> None:
        self._step = _step(vectors)
        self._code = np.zeros((len(vectors) + room, vectors.shape[1]), np.int8)
        self._n = 0
        self._longest = self._longest_rest = 0.0
        self.add(vectors)

    def __len__(self) -> int:
        return self._n

    @property
    def room(self) -> int:
        """How many vectors can be added."""
        return len(self._code) - self._n

    @property
    def nbytes(self) -> int:
        """Bytes of the codes and of the room."""
        return self._code.nbytes

    def add(self, vectors: F32) -> None:
        """Code more vectors (n, d); those that are larger than all of the first have larger rests."""
        code = _code(vectors, self._step)
        self._code[self._n : self._n + len(vectors)] = code
        self._n += len(vectors)
        self._longest = max(self._longest, _lengths(vectors).max(initial=0))
        self._longest_rest = max(self._longest_rest, _lengths(vectors - code * np.float32(self._step)).max(initial=0))

    def products(self, queries: F32) -> list[Products]:
        """With each of some queries (q, d)."""
        step = _step(queries, axis=1)
        code = _code(queries, step)
        rests = _lengths(queries - code * step.astype(np.float32))
        rounding = queries.shape[1] * np.finfo(np.float32).eps
        longest = self._longest + self._longest_rest
        error = _lengths(queries) * (self._longest_rest + rounding * longest) + rests * longest
        unit = step[:, 0] * self._step
        product = product_of(code, self._code[: self._n])
        return [Products(*each) for each in zip(product, unit.tolist(), error.tolist(), strict=True)]


def _step(vectors: F32, axis: int | None = None) -> F64:
    """What 1 in a code stands for: one step for all vectors or, with `axis=1`, one for each, (n, 1)."""
    largest: F64 = np.abs(vectors).max(axis=axis, keepdims=axis is not None, initial=TINY).astype(np.float64)
    return largest / LARGEST


def _code(vectors: F32, step: F64) -> I8:
    return np.rint(vectors * (1 / step).astype(np.float32)).clip(-LARGEST, LARGEST).astype(np.int8)


def _lengths(vectors: F32) -> F64:
    """Euclidean lengths (n,); in float32 squares of what is below 1e-19 would be 0."""
    lengths: F64 = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))  # makes no float64 copy of them
    return lengths
