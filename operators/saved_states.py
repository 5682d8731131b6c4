"""Where the states of one pool shard's users, or of its items, are saved: all of them are one key of the dataflow.

To save a state of its own for each costs Bytewax more than all that its user did in a second. So Bytewax keeps a
checkpoint's number only, and the states lie here, where all that changed is written at once.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol


class Saved(NamedTuple):
    """What Bytewax keeps of a shard's states: where they are, and as of which checkpoint."""

    shard: int
    checkpoint: int


class SavedStates(Protocol):
    """States as bytes, each under a name: a user's is its id, an item's its number."""

    def resume(self, checkpoint: int | None) -> Iterable[tuple[str, bytes]]:
        """All states by name as of that checkpoint, the last that was saved or the one before; None begins with
        none."""

    @property
    def checkpoint(self) -> int:
        """The checkpoint that was saved last, or from which it went on since."""
        ...

    def get(self, name: str) -> bytes:
        """The newest state that was saved under a name that has one."""

    def save(self, changes: Mapping[str, bytes | None], states: int) -> int:
        """Save new states by name, None of who left, so that there are so many `states`; returns the new checkpoint.

        On disk when this returns, and so is what `checkpoint` was before: the dataflow may go on from either.
        """
