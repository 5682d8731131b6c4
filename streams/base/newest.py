"""The newest moments: what models are trained on."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from models.streamed.features import Seen
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

    @property
    def blocks(self) -> dict[int, Seen]:
        """All of them by number: a block stays what it is."""
        return dict(enumerate(self._blocks, self._gone))

    def restore(self, blocks: Mapping[int, Seen]) -> None:
        """Have these `blocks`, and no others; of more than fit the oldest go, as they went before."""
        self._gone = min(blocks, default=0)
        for _, block in sorted(blocks.items()):
            self.add(block)


def features_of(blocks: Iterable[Seen]) -> F32:
    """Of all moments of some blocks, (n, features)."""
    return np.concatenate([seen.features for seen in blocks])


def label_of(blocks: Iterable[Seen]) -> U8:
    """Of all moments of some blocks, (n,)."""
    return np.concatenate([seen.moments.label for seen in blocks])
