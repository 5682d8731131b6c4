"""The pool under its next cloud model, made beside the one that answers, some rows at a time.

What is in the window when it begins is read as it was then, however long that takes; what comes meanwhile is added as
it comes. Nothing of it counts before `Store.adopt`: after a crash it begins anew.
"""

from collections.abc import Callable

from index.memory import Memory
from index.store import Store
from index.vectors import check_block
from models.sample import SampleBlock

SLICE_ROWS = 768  # about 9 ms of a core, for which everything else in the pool's thread waits
Encode = Callable[[SampleBlock], SampleBlock]  # gives the same samples, encoded or not, with its cloud model's vectors


class Shadow:
    """A second memory over the rows of `store`, encoded by `encode`, `rows` in each step.

    `model` made it: the one in use, until the first row is encoded.
    """

    def __init__(self, store: Store, encode: Encode, rows: int = SLICE_ROWS) -> None:
        self._store, self._encode = store, encode
        self._window = store.read_payload(rows)
        self.memory = Memory(store.spec, 2 * store.state.live)  # room, so that few rows have to move
        self.model = store.state.model

    def step(self) -> bool:
        """Encode the next rows; False when there are none, and the memory is complete but for what has left.

        Raises `VectorError` when the model gives bad vectors, and `PoolError` when rows cannot be read or written.
        """
        block = next(self._window, None)
        if block is None:
            return False
        self.add(block)
        self.memory.leave_ring()
        self.memory.link()
        self.memory.tidy()
        return True

    def add(self, block: SampleBlock) -> None:
        """Encode samples, and take them in."""
        encoded = self._encode(block)
        check_block(encoded, self._store.spec)
        self._store.write_encoded(encoded)
        self.memory.append(encoded)
        self.model = encoded.model
