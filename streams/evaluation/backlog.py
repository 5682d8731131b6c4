"""The backlog: what happened, and is not old enough to be learned from."""

from collections import deque
from collections.abc import Sequence

from operators.user import Query
from wire.moments import EventMs
from wire.sample import SampleRecord


class Backlog:
    """Samples and queries in event-time order."""

    def __init__(self) -> None:
        self._samples: deque[SampleRecord] = deque()
        self._queries: deque[Query] = deque()

    def add(self, samples: Sequence[SampleRecord], queries: Sequence[Query]) -> None:
        """Take in what came of a slice; samples are sorted by time."""
        self._samples.extend(samples)
        self._queries.extend(sorted(queries, key=lambda query: query.before_ms))

    def take(self, until_ms: EventMs) -> tuple[list[SampleRecord], list[Query]]:
        """What happened by then, and of each user the newest query: what an older one brought would be replaced."""
        samples = []
        while self._samples and self._samples[0].timestamp <= until_ms:
            samples.append(self._samples.popleft())
        queries: dict[int, Query] = {}
        while self._queries and self._queries[0].before_ms <= until_ms:
            query = self._queries.popleft()
            queries[query.user] = query
        return samples, list(queries.values())
