"""Search over a table: sources, such as graphs, fetch what may be best, and one merge says what is.

What a source (a graph) fetches is cut off at some score, its bound. Where a query's k-th best row scores below
the bound of a source — because what it fetched was the asker's own, too new or dead — that source's rows are
searched exactly for that query. So the limits never cost recall.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from index.fetched import NO_ROW, Fetched, Scores
from index.hash_sampling import closeness
from index.highest import highest, pick, top_k
from index.matches import LABELS, Limits, Matches
from index.table import Table
from wire.arrays import F32, F64, I64, U64, Bool
from wire.ids import mix

CHUNK = 256  # queries at a time: 256 · 25k scores · 4 B = 26 MB
Query = TypeVar("Query", F32, U64)
Part = tuple[I64, Scores]  # rows and their scores for q queries, (q, n)
Asked_contra = TypeVar("Asked_contra", F32, U64, contravariant=True)


class RowSource(Protocol[Asked_contra]):
    """Rows that can be fetched by score without looking at all of them."""

    @property
    def rows(self) -> I64:
        """All of them."""
        ...

    def fetch(self, queries: Asked_contra, k: int) -> Fetched:
        """About the k best rows for each query."""
        ...


@dataclass
class Effort:
    """How often sources were asked, and how often their rows had to be searched exactly after all."""

    fetches: int = 0
    exact: int = 0


@dataclass(frozen=True)
class Search(Generic[Query]):
    """One way to score rows, over one state of the pool.

    Each row of a label is in one of its `sources`. `window_age_ms` also bounds what a query sees from below, so that
    the samples it may see do not depend on when their shard last got one.
    """

    table: Table
    sources: dict[int, Sequence[RowSource[Query]]]
    score: Callable[[Query, I64], Scores]  # queries, rows (n,) -> (q, n)
    window_age_ms: int
    effort: Effort

    def best(self, queries: Query, limits: Limits, k: int) -> Matches:
        """The k best rows of each label for each query."""
        row = np.full((len(limits), len(LABELS), k), NO_ROW, np.int64)
        score = np.full(row.shape, -np.inf)
        for at in _chunks(len(limits)):
            for label in LABELS:
                self._best(queries[at], limits.take(at), label, row[at, label], score[at, label])
        return Matches(row, score, limits.before_ms)

    def _exactly(self, queries: Query, limits: Limits, k: int, rows: I64) -> Part:
        """The best of `rows` by looking at all of them, in no order; shapes (q, min(k, n)), scores -inf where there is
        none."""
        score = self.score(queries, rows)
        score[~self._allowed(rows[None], limits)] = -np.inf
        columns, best = highest(score, k)
        return rows[columns], best

    def _best(self, queries: Query, limits: Limits, label: int, row: I64, score: F64) -> None:
        if not (sources := self.sources[label]):
            return
        fetched = [source.fetch(queries, row.shape[1]) for source in sources]
        for part in fetched:
            np.copyto(part.score, -np.inf, where=~self._allowed(part.row, limits))
        parts: list[Part] = [(part.row, part.score) for part in fetched]
        if len(parts) == 1:
            _first(*parts[0], row, score)
        else:
            _merge(parts, row, score)
        short = np.array([part.bound > score[:, -1] for part in fetched])  # (sources, q)
        self.effort.fetches += short.size
        self.effort.exact += int(short.sum())
        if len(again := np.flatnonzero(short.any(axis=0))):
            parts = [(rows[again], scores[again]) for rows, scores in parts]
            asked, k = (queries[again], limits.take(again)), row.shape[1]
            parts += self._instead(sources, parts, *asked, short=short[:, again], k=k)
            best = row[again], score[again]
            _merge(parts, *best)
            row[again], score[again] = best

    def _instead(
        self,
        sources: Sequence[RowSource[Query]],
        fetched: Sequence[Part],
        queries: Query,
        limits: Limits,
        *,
        short: Bool,
        k: int,
    ) -> list[Part]:
        """What is found where all rows of a source are searched for those queries, of (sources, q), for which it is
        `short`; what it had fetched for these no longer counts."""
        parts = []
        for source, (_, score), at in zip(sources, fetched, short, strict=True):
            if at.any():
                found, found_score = self._exactly(queries[at], limits.take(np.flatnonzero(at)), k, source.rows)
                part = np.full((len(at), found.shape[1]), NO_ROW), np.full((len(at), found.shape[1]), -np.inf)
                part[0][at], part[1][at], score[at] = found, found_score, -np.inf
                parts.append(part)
        return parts

    def _allowed(self, rows: I64, limits: Limits) -> Bool:
        """Which rows, (q, n) or (1, n), each query may see; `NO_ROW` never."""
        each = self.table.asked(rows)
        since = limits.before_ms[:, None] - each["timestamp"]
        allowed: Bool = (since > 0) & (since < self.window_age_ms)
        allowed &= each["live"]
        allowed &= each["user"] != limits.user[:, None]
        allowed &= rows != NO_ROW
        return allowed


def by_similarity(vectors: Callable[[I64], F32]) -> Callable[[F32, I64], Scores]:
    """Scores of rows, by their `vectors`, for match keys: the inner product."""
    return lambda keys, rows: keys @ vectors(rows).T


def by_hash(table: Table) -> Callable[[U64, I64], Scores]:
    """Scores of rows for drawn points: how closely their hashes follow."""
    return lambda points, rows: closeness(points[:, None], mix(table.sample[table.at(rows)]))


def _merge(parts: Sequence[Part], row: I64, score: F64) -> None:
    """The best of all parts into `row` and `score` (q, k)."""
    rows = np.concatenate([r for r, _ in parts], axis=1)
    scores = np.concatenate([s for _, s in parts], axis=1)
    columns, best = top_k(scores, row.shape[1])
    n = best.shape[1]
    score[:, :n] = best
    row[:, :n] = np.where(np.isneginf(best), NO_ROW, pick(rows, columns))


def _first(rows: I64, scores: Scores, row: I64, score: F64) -> None:
    """The first rows of one part, which come best first, but for those that are not allowed, into `row` and `score`."""
    k = row.shape[1]
    for at, seen in enumerate(scores > -np.inf):
        found = rows[at].compress(seen)[:k]
        row[at, : len(found)], score[at, : len(found)] = found, scores[at].compress(seen)[:k]


def _chunks(n: int) -> Iterator[slice]:
    return (slice(at, at + CHUNK) for at in range(0, n, CHUNK))
