"""How far a partition is done when its messages finish out of order (sans-I/O).

A group's committed offset says that everything before it is done, so it may only move over a gapless run.
"""

from collections import deque

Partition = tuple[str, int]


class OffsetTracker:
    """Positions of the partitions that one consumer reads.

    >>> offsets = OffsetTracker()
    >>> offsets.started(("candidates", 0), 5), offsets.started(("candidates", 0), 6)
    (None, None)
    >>> offsets.done(("candidates", 0), 6); offsets.positions()
    {}
    >>> offsets.done(("candidates", 0), 5); offsets.positions()
    {('candidates', 0): 7}
    """

    def __init__(self) -> None:
        self._started: dict[Partition, deque[int]] = {}
        self._done: dict[Partition, set[int]] = {}
        self._moved: dict[Partition, int] = {}

    def started(self, partition: Partition, offset: int) -> None:
        """A message was taken up; offsets of one partition come in order."""
        self._started.setdefault(partition, deque()).append(offset)

    def done(self, partition: Partition, offset: int) -> None:
        """A message is finished; ones already passed, or of a partition that was forgotten, change nothing."""
        waiting = self._started.get(partition)
        if not waiting or offset < waiting[0]:
            return
        done = self._done.setdefault(partition, set())
        done.add(offset)
        while waiting and waiting[0] in done:
            first = waiting.popleft()
            done.remove(first)
            self._moved[partition] = first + 1

    def positions(self) -> dict[Partition, int]:
        """What may be committed, for the partitions that moved since the last call."""
        moved, self._moved = self._moved, {}
        return moved

    def unfinished(self) -> int:
        """How many messages are taken up and not finished."""
        return sum(map(len, self._started.values()))

    def forget(self, partition: Partition) -> None:
        """The partition belongs to another consumer now."""
        for each in (self._started, self._done, self._moved):
            each.pop(partition, None)
