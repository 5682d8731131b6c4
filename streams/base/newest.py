"""The newest moments: what models are trained on."""

from collections import deque
from collections.abc import Iterator

import numpy as np

from models.streamed.features import Seen
from wire.arrays import F32, U8

MOST = 200_000  # moments: 40 MB, and twice that while trees are trained on them


class Newest:
    """Blocks of them in event-time order, `most` in all: the oldest blocks go."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._rows = most, 0
        self._blocks: deque[Seen] = deque()

    def add(self, seen: Seen) -> None:
        """Take in a block that is newer than all others."""
        self._blocks.append(seen)
        self._rows += len(seen)
        while self._rows > self._most and len(self._blocks) > 1:
            self._rows -= len(self._blocks.popleft())

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[Seen]:
        return iter(self._blocks)

    @property
    def features(self) -> F32:
        """Of all of them, (n, features)."""
        return np.concatenate([seen.features for seen in self._blocks])

    @property
    def label(self) -> U8:
        """Of all of them, (n,)."""
        return np.concatenate([seen.moments.label for seen in self._blocks])
