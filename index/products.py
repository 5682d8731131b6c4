"""What a query's products with all vectors say of the exact ones, and which of them are high.

They are made at once; or, where that many would fill a cache several times over, one after the other as they are looked
at, and only the high ones are kept.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache

import numpy as np

from index.compiled import compiled
from index.highest import reached_by_about, sampled
from wire.arrays import F32, I8, I16, I64

SAMPLE = 2048  # products that say which are high
ROOM = 4096  # for as many high ones at first
Into = tuple[I64, F32]  # places and products, (room,)
# Goes from a vector on, to each so many-th, and puts those that reach the least where there is room. Returns where to
# go on, and how many were found.
Pass = Callable[[tuple[int, int], np.float32, Into], tuple[int, int]]


class Products(ABC):
    """Of one query with n vectors. 1 of them stands for `unit`, and exact products, and what float32 makes of these,
    are no further than `error` from it."""

    def __init__(self, unit: float, error: float) -> None:
        self._unit, self._error = unit, error

    def least(self, exact: float) -> float:
        """The least product that may stand for this exact one."""
        return float(np.nextafter(np.float32((float(exact) - self._error) / self._unit), np.float32(-np.inf)))

    @abstractmethod
    def about(self, k: int) -> float:
        """The least product that may stand for one of about the k highest; -inf where k is n or more."""

    @abstractmethod
    def reaching(self, least: float) -> I64:
        """Which are at least this, in their order."""


class Made(Products):
    """Products (n,) that are there."""

    def __init__(self, products: F32, unit: float, error: float) -> None:
        super().__init__(unit, error)
        self._products = products

    def about(self, k: int) -> float:
        """A sample of them says it."""
        return reached_by_about(self._products, k) - self._error / self._unit

    def reaching(self, least: float) -> I64:
        """Of all of them."""
        return np.flatnonzero(self._products >= least)


class Passed(Products):
    """Products that `go`, a pass over n vectors, makes; those that reach what was asked for are kept."""

    def __init__(self, n: int, go: Pass, unit: float, error: float) -> None:
        super().__init__(unit, error)
        self._n, self._go = n, go
        self._least = np.inf
        self._place, self._product = np.empty(0, np.int64), np.empty(0, np.float32)

    def about(self, k: int) -> float:
        """A sample says what to keep, and what is kept says it."""
        far = self._error / self._unit
        if k >= self._n:
            return -np.inf
        self._keep(self._sampled(k) - 2 * far)  # less than what will be asked for, also after a first look
        return float(reached_by_about(self._product, k)) - far if k < len(self._product) else self._least

    def reaching(self, least: float) -> I64:
        """Of those that are kept, unless that is too few."""
        if least < self._least:
            self._keep(least)
        return self._place[self._product >= least]

    def _sampled(self, k: int) -> float:
        stride = -(-self._n // SAMPLE)
        few = np.empty(-(-self._n // stride), np.float32)
        self._go((0, stride), np.float32(-np.inf), (np.empty(len(few), np.int64), few))
        return sampled(few, k / stride)

    def _keep(self, least: float) -> None:
        self._least = float(np.float32(least))
        start, room, kept = 0, ROOM, [(self._place[:0], self._product[:0])]
        while start < self._n:
            places, products = np.empty(room, np.int64), np.empty(room, np.float32)
            start, found = self._go((start, 1), np.float32(least), (places, products))
            kept.append((places[:found], products[:found]))
            room *= 2
        self._place, self._product = (np.concatenate(each) for each in zip(*kept, strict=True))


@cache
def pass_over(dim: int) -> Callable[..., tuple[int, int]]:
    """The `Pass` of a query (dim,) over codes (n, dim), whose products are times their steps (n,). Each width has a
    loop of its own, compiled here: only what is known then is computed many numbers at a time."""

    def loop(
        query: I16, coded: tuple[I8, F32], where: tuple[int, int], least: np.float32, into: Into
    ) -> tuple[int, int]:
        (codes, steps), (places, products) = coded, into
        found, at, stride, product = 0, np.uintp(where[0]), np.uintp(where[1]), np.float32(0)
        while at < len(codes):
            while at < len(codes):  # as long as nothing is stored the query stays in registers
                total = np.int32(0)
                for i in range(dim):
                    total += np.int32(query[i]) * np.int32(codes[at, i])
                product = np.float32(np.int32(total)) * steps[at]
                if product >= least:
                    break
                at += stride
            if at >= len(codes) or found == len(places):
                break
            places[found], products[found] = at, product
            found += 1
            at += stride
        return int(at), found

    fast = compiled(loop)
    none = np.empty((0, dim), np.int8), np.empty(0, np.float32)
    fast(np.zeros(dim, np.int16), none, (0, 1), np.float32(0), (np.empty(0, np.int64), np.empty(0, np.float32)))
    return fast
