"""Merging: events of several partitions by the event times that they tell, as far as can be told what comes next.

Who reads a backlog gets thousands of one partition, then thousands of the next. A model would know of what came later
by then: it expects what it has seen. So nobody goes ahead of a partition of which more is to come.
"""

from collections import deque
from collections.abc import Collection, Iterable
from heapq import heapify, heappop, heappush
from typing import NamedTuple, cast

from operators.decode import Arrival, Arrived, Raw, arrival
from streams.bus import Message, Partition
from wire.moments import WallMs

_UNTOLD = -1  # of what can't be read: it is refused as soon as it comes


class _Waiting(NamedTuple):
    timestamp: int
    offset: int
    arrived: Arrived


class Merge:
    """Events that were read and have not been taken."""

    def __init__(self) -> None:
        self._waiting: dict[Partition, deque[_Waiting]] = {}

    def put(self, messages: Iterable[Message], wall_ms: WallMs) -> None:
        """Take in what came next in some partitions, by then."""
        for message in messages:
            arrived = arrival(cast(Raw, message), wall_ms)
            moment = arrived.timestamp if isinstance(arrived, Arrival) else _UNTOLD
            of = self._waiting.setdefault((message.topic, message.partition), deque())
            of.append(_Waiting(moment, message.offset, arrived))

    def take(self, awaited: Collection[Partition] = ()) -> list[Arrived]:
        """What can go on, each partition in its order: all, unless more is `awaited` of some; then as far as these."""
        if any(not self._waiting.get(partition) for partition in awaited):
            return []
        heads = [(waiting[0].timestamp, partition) for partition, waiting in self._waiting.items() if waiting]
        heapify(heads)
        taken = []
        while heads:
            _, partition = heappop(heads)
            waiting = self._waiting[partition]
            taken.append(waiting.popleft().arrived)
            if waiting:
                heappush(heads, (waiting[0].timestamp, partition))
            elif partition in awaited:
                break
        return taken

    def first(self) -> dict[Partition, int]:
        """The offset of the first event of each partition that waits."""
        return {partition: waiting[0].offset for partition, waiting in self._waiting.items() if waiting}

    def more_than(self, most: int) -> set[Partition]:
        """Partitions of which more events wait."""
        return {partition for partition, waiting in self._waiting.items() if len(waiting) > most}
