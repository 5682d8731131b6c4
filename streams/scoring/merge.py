"""Merging: messages of several partitions by the event times that they tell, as far as can be told what comes next.

Who reads a backlog gets thousands of one partition, then thousands of the next. A model would know of what came later
by then: it expects what it has seen. So nobody goes ahead of a partition of which more is to come.
"""

from collections import deque
from collections.abc import Collection, Iterable
from heapq import heapify, heappop, heappush

import msgspec

from streams.bus import Message, Partition

_UNTOLD = -1  # of what can't be read: it is refused as soon as it comes


class _Moment(msgspec.Struct):
    timestamp: int


_decoder = msgspec.json.Decoder(_Moment)


class Merge:
    """Messages that were read and have not been taken."""

    def __init__(self) -> None:
        self._waiting: dict[Partition, deque[tuple[int, Message]]] = {}

    def put(self, messages: Iterable[Message]) -> None:
        """Take in what came next in some partitions."""
        for message in messages:
            of = self._waiting.setdefault((message.topic, message.partition), deque())
            of.append((_moment(message.value), message))

    def take(self, awaited: Collection[Partition] = ()) -> list[Message]:
        """What can go on, each partition in its order: all, unless more is `awaited` of some; then as far as these."""
        if any(not self._waiting.get(partition) for partition in awaited):
            return []
        heads = [(waiting[0][0], partition) for partition, waiting in self._waiting.items() if waiting]
        heapify(heads)
        taken = []
        while heads:
            _, partition = heappop(heads)
            waiting = self._waiting[partition]
            taken.append(waiting.popleft()[1])
            if waiting:
                heappush(heads, (waiting[0][0], partition))
            elif partition in awaited:
                break
        return taken

    def first(self) -> dict[Partition, int]:
        """The offset of the first message of each partition that waits."""
        return {partition: waiting[0][1].offset for partition, waiting in self._waiting.items() if waiting}

    def more_than(self, most: int) -> set[Partition]:
        """Partitions of which more messages wait."""
        return {partition for partition, waiting in self._waiting.items() if len(waiting) > most}


def _moment(raw: bytes) -> int:
    try:
        return _decoder.decode(raw).timestamp
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _UNTOLD
