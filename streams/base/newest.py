"""The newest moments: what models are trained on."""

from collections import deque
from collections.abc import Iterator, Mapping

import numpy as np

from models.streamed.features import Seen
from models.streamed.rest import Rest
from wire.arrays import F32, U8

MOST = 200_000  # moments: 40 MB, and twice that while trees are trained on them


class Newest:
    """Blocks of them in event-time order, `most` in all: the oldest blocks go."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._rows, self._gone = most, 0, 0
        self._blocks: deque[Seen] = deque()

    def add(self, seen: Seen) -> None:
        """Take in a block that is newer than all others."""
        self._blocks.append(seen)
        self._rows += len(seen)
        while self._rows > self._most and len(self._blocks) > 1:
            self._rows -= len(self._blocks.popleft())
            self._gone += 1

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[Seen]:
        return iter(self._blocks)

    def state(self) -> dict[int, Rest]:
        """Each block at rest, by its number: it stays what it is for as long as it is here."""
        return {number: seen.state() for number, seen in enumerate(self._blocks, self._gone)}

    def restore(self, state: Mapping[int, Rest]) -> None:
        """Take the blocks that were at rest in `state`."""
        self._gone = min(state, default=0)
        for _, block in sorted(state.items()):
            self.add(Seen.restore(block))

    @property
    def features(self) -> F32:
        """Of all of them, (n, features)."""
        return np.concatenate([seen.features for seen in self._blocks])

    @property
    def label(self) -> U8:
        """Of all of them, (n,)."""
        return np.concatenate([seen.moments.label for seen in self._blocks])
