"""Candidates as they leave a pool shard, and how those of several shards become one batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from index.compiled import compiled
from index.matches import LABELS
from wire.arrays import F64, I64
from wire.candidates import Candidates

_UNLIKELY = 16.0  # that a shard has more of the best than it may find: a chance of e**-16 at most, one in nine million
# A candidate and its score, 24 bytes: as one row, all of it is told, joined and pickled at once.
ROW = np.dtype(
    [
        ("score", np.float64),
        ("item", np.uint32),
        ("category", np.uint32),
        ("age_s", np.uint32),
        ("logit", np.float16),
        ("label", np.uint8),
        ("times", np.uint8),
    ]
)
_WHOLE = np.dtype((np.void, ROW.itemsize))  # NumPy takes rows as they lie where it knows of no fields
_COLUMNS = tuple(field.name for field in fields(Candidates))


def as_bits(rows: np.dtype[np.void]) -> np.dtype[np.void]:
    """A type of rows for compiled loops, which know no float16: its bits.

    >>> as_bits(ROW)["logit"]
    dtype('uint16')
    """
    each = dict(rows.fields or {})
    formats = [np.dtype(np.uint16) if kind == np.float16 else kind for kind, *_ in each.values()]
    offsets = [offset for _, offset, *_ in each.values()]
    return np.dtype({"names": [*each], "formats": formats, "offsets": offsets, "itemsize": rows.itemsize})


BITS = as_bits(ROW)


@dataclass(frozen=True, slots=True)
class Scored:
    """One query's candidates with their scores as `ROW`s, label 0 first and of each the best, so that shards can be
    merged."""

    rows: NDArray[np.void]  # (n,)

    @classmethod
    def of(cls, candidates: Candidates, score: F64) -> "Scored":
        """n candidates in that order, and their scores."""
        rows = np.empty(len(score), ROW)
        rows["score"] = score
        for name in _COLUMNS:
            rows[name] = getattr(candidates, name)
        return cls(rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def score(self) -> F64:
        """That of each, (n,)."""
        score: F64 = self.rows["score"]
        return score

    @property
    def candidates(self) -> Candidates:
        """Without the scores."""
        return Candidates(**{name: np.ascontiguousarray(self.rows[name]) for name in _COLUMNS})

    def __reduce__(self) -> tuple[Callable[[bytearray], "Scored"], tuple[bytearray]]:
        """Pickled as one run of bytes, which may be written to: compiled loops are so made for one kind of rows."""
        return _scored, (bytearray(self.rows),)


def _scored(raw: bytearray) -> Scored:
    return Scored(np.frombuffer(raw, ROW))


NONE = Scored(np.empty(0, ROW))


def share(k: int, shards: int) -> int:
    """How many each of so many shards finds, so that the best k of all are among them, if samples lie in any by chance.

    How many lie in one is binomial, and Bernstein's inequality (1924) says what they hardly ever exceed. Where one has
    more all the same, the last of the k give way to those that come next.

    >>> share(800, 1), share(800, 2), share(800, 16), share(4, 2)
    (800, 486, 95, 4)
    """
    mean = k / shards
    variance = mean * (1 - 1 / shards)
    third = _UNLIKELY / 3
    return min(k, ceil(mean + third + sqrt(third**2 + 2 * _UNLIKELY * variance)))


def best_of(parts: Sequence[Scored], k_per_label: int) -> Scored:
    """The best `k_per_label` of each label from all shards' findings for one query, label 0 first."""
    rows = np.concatenate([part.rows.view(_WHOLE) for part in parts])
    end = np.cumsum([len(part) for part in parts])
    best = np.empty(len(LABELS) * k_per_label, np.int64)
    found = _merge(rows.view(BITS), end, k_per_label, best)
    return Scored(rows.take(best[:found]).view(ROW))


@compiled
def _merge(rows: NDArray[np.void], end: I64, k: int, best: I64) -> int:
    """The rows of each label, the best first, of parts that follow each other and end at `end`; how many there are."""
    found, head = 0, np.empty_like(end)
    head[0], head[1:] = 0, end[:-1]
    for label in LABELS:
        left = k
        while True:
            first = -1
            for part in range(len(end)):
                at = head[part]
                if at == end[part] or rows[at].label != label:
                    continue
                if first < 0 or rows[at].score > rows[head[first]].score:
                    first = part
            if first < 0:
                break
            if left > 0:  # what is left of a label is passed by
                best[found] = head[first]
                found, left = found + 1, left - 1
            head[first] += 1
    return found
