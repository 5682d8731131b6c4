"""Samples that pile up until a version learns them: in columns, however few come at a time (sans-I/O).

A block is a dozen arrays, which of one sample take 1,650 bytes and of many 282 a sample (`SAMPLE_BYTES`).
"""

from models.sample import SampleBlock

SAMPLE_BYTES = 282  # of one row: 42 in scalars, 240 in its history


class Pile:
    """Samples in the order in which they came."""

    def __init__(self) -> None:
        self._blocks: list[SampleBlock] = []  # each more than twice as long as the next, so there are few

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def add(self, block: SampleBlock) -> None:
        """Put `block` on top; a sample is copied as often as what it lies in doubles."""
        self._blocks.append(block)
        while len(self._blocks) > 1 and len(self._blocks[-2]) <= 2 * len(self._blocks[-1]):
            self._blocks[-2:] = [SampleBlock.concat(self._blocks[-2:])]

    def all(self) -> SampleBlock:
        """All of them (at least one) as one block."""
        if len(self._blocks) > 1:
            self._blocks = [SampleBlock.concat(self._blocks)]
        return self._blocks[0]

    def keep_newest(self, most: int) -> SampleBlock:
        """Take away all but the `most` that came last; what was taken away."""
        everything = self.all()
        oldest = max(0, len(everything) - most)
        # A copy: a slice would keep the memory of what it is cut from.
        self._blocks = [SampleBlock.concat([everything.take(slice(oldest, None))])]
        return everything.take(slice(0, oldest))

    def clear(self) -> None:
        """Forget them all."""
        self._blocks = []
