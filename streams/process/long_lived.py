"""What stays as long as its device or user does, kept from Python's garbage collector.

The collector looks at all objects whenever their number grew by a quarter, as it does with every snapshot of them all:
10,000 devices with their connections hold everything up for half a second then. What is frozen it passes over, and is
freed all the same once nobody refers to it.
"""

import gc


class LongLived:
    """Freezes what there is when there are devices or users, and when they have become a tenth more."""

    def __init__(self) -> None:
        self._kept = 0

    def look(self, kept: int) -> None:
        """So many are there."""
        if kept > 1.1 * self._kept:
            gc.collect(1)  # what went out of use just now: a cycle that is frozen is never freed
            gc.freeze()
            self._kept = kept
