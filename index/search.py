"""Search over a table: sources, such as graphs, fetch what may be best, and one merge says what is.

What is compared row by row (`index.compared`) gives the best that a query may see. What a source (a graph) fetches is
cut off at some score, its bound. Where a query's k-th best row scores below the bound of a source — because what it
fetched was the asker's own, too new or dead — that source's rows are searched exactly for that query. So the limits
never cost recall.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from index.compared import Compared
from index.fetched import NO_ROW, Fetched, Part
from index.highest import highest, pick, top_k
from index.matches import LABELS, Matches
from index.sight import Sight
from wire.arrays import F32, F64, I64, Bool

CHUNK = 256  # queries at a time: 256 · 25k scores · 4 B = 26 MB


class RowSource(Protocol):
    """Rows that can be fetched by score without looking at all of them."""

    @property
    def rows(self) -> I64:
        """All of them."""
        ...

    def fetch(self, queries: F32, k: int) -> Fetched:
        """About the k best rows for each query."""
        ...


@dataclass
class Effort:
    """How often sources were asked, and how often their rows had to be searched exactly after all."""

    fetches: int = 0
    exact: int = 0


@dataclass(frozen=True)
class Search:
    """The most similar rows, over one state of the pool: each of a label is compared, or in one of its `sources`."""

    compared: Mapping[int, Compared]
    sources: Mapping[int, Sequence[RowSource]]
    vectors: Callable[[I64], F32]  # of rows (n,): (n, d)
    effort: Effort

    def best(self, queries: F32, sight: Sight, k: int) -> Matches:
        """The k best rows of each label for each query."""
        row = np.full((len(queries), len(LABELS), k), NO_ROW, np.int64)
        score = np.full(row.shape, -np.inf)
        for at in _chunks(len(queries) if k else 0):
            for label in LABELS:
                self._best(queries[at], sight.take(at), label, row[at, label], score[at, label])
        return Matches(row, score, sight.limits.before_ms)

    def _exactly(self, queries: F32, sight: Sight, k: int, rows: I64) -> Part:
        """The best of `rows` by looking at all of them, in no order; shapes (q, min(k, n)), scores -inf where there is
        none."""
        score = queries @ self.vectors(rows).T
        score[~sight.allowed(rows[None])] = -np.inf
        columns, best = highest(score, k)
        return rows[columns], best

    def _best(self, queries: F32, sight: Sight, label: int, row: I64, score: F64) -> None:
        k, sources = row.shape[1], self.sources[label]
        row[:], score[:] = self.compared[label].best(queries, sight, k)
        if not sources:
            return
        fetched = [source.fetch(queries, k) for source in sources]
        for part in fetched:
            np.copyto(part.score, -np.inf, where=~sight.allowed(part.row))
        compared: Part = row.copy(), score.copy()
        _merge([compared, *((part.row, part.score) for part in fetched)], row, score)
        short = np.array([part.bound > score[:, -1] for part in fetched])  # (sources, q)
        self.effort.fetches += short.size
        self.effort.exact += int(short.sum())
        if len(again := np.flatnonzero(short.any(axis=0))):
            parts = [(part.row[again], part.score[again]) for part in fetched]
            parts += self._instead(sources, parts, queries[again], sight.take(again), short=short[:, again], k=k)
            best = row[again], score[again]
            _merge([(compared[0][again], compared[1][again]), *parts], *best)
            row[again], score[again] = best

    def _instead(
        self,
        sources: Sequence[RowSource],
        fetched: Sequence[Part],
        queries: F32,
        sight: Sight,
        *,
        short: Bool,
        k: int,
    ) -> list[Part]:
        """What is found where all rows of a source are searched for those queries, of (sources, q), for which it is
        `short`; what it had fetched for these no longer counts."""
        parts = []
        for source, (_, score), at in zip(sources, fetched, short, strict=True):
            if at.any():
                found, found_score = self._exactly(queries[at], sight.take(np.flatnonzero(at)), k, source.rows)
                part = np.full((len(at), found.shape[1]), NO_ROW), np.full((len(at), found.shape[1]), -np.inf)
                part[0][at], part[1][at], score[at] = found, found_score, -np.inf
                parts.append(part)
        return parts


def _merge(parts: Sequence[Part], row: I64, score: F64) -> None:
    """The best of all parts into `row` and `score` (q, k)."""
    rows = np.concatenate([r for r, _ in parts], axis=1)
    scores = np.concatenate([s for _, s in parts], axis=1)
    columns, best = top_k(scores, row.shape[1])
    n = best.shape[1]
    score[:, :n] = best
    row[:, :n] = np.where(np.isneginf(best), NO_ROW, pick(rows, columns))


def _chunks(n: int) -> Iterator[slice]:
    return (slice(at, at + CHUNK) for at in range(0, n, CHUNK))
