"""What outlives a crash of the dataflow: the state of every step and key as of the last epoch that was committed."""

import pickle
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Whose state it is: a step of the dataflow, and a key or an input's part in it."""

    step_id: str
    key: str


GONE = object()  # the state of a key that was let go of


class Snapshots:
    """All states of one dataflow, pickled as Bytewax keeps them.

    >>> snapshots = Snapshots()
    >>> snapshots.commit({Place("flow.user", "ann"): 7, Place("flow.user", "bob"): None})
    >>> snapshots.commit({Place("flow.user", "bob"): GONE})
    >>> dict(snapshots.of("flow.user")), snapshots.epochs
    ({'ann': 7}, 2)
    """

    def __init__(self) -> None:
        self.epochs = 0
        self._states: dict[Place, bytes] = {}

    def __len__(self) -> int:
        return len(self._states)

    def commit(self, changes: Mapping[Place, Any]) -> None:
        """End an epoch: all of its changes, or none of them if this is never called."""
        for place, state in changes.items():
            if state is GONE:
                self._states.pop(place, None)
            else:
                self._states[place] = pickle.dumps(state)
        self.epochs += 1

    def of(self, step_id: str) -> Iterator[tuple[str, Any]]:
        """Keys and states of one step."""
        for place, state in sorted(self._states.items()):
            if place.step_id == step_id:
                yield place.key, pickle.loads(state)
