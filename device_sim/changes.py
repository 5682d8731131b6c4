"""Which devices differ from what is saved of them, and how they were at the moment of the snapshot that is being taken.

A snapshot is of one moment, and taking all devices down at once would hold everything up: ten thousand take half a
second. So some are taken down now and some later, and one that is about to change before its turn just before it does.
"""

from collections.abc import Callable
from itertools import islice

from device_sim.at_rest import DeviceAtRest


class Changes:
    """`take_down` gives a device as it is now, None where there is none."""

    def __init__(self, take_down: Callable[[str], DeviceAtRest | None]) -> None:
        self._take_down = take_down
        self._changed: dict[str, None] = {}  # since the newest snapshot began
        self._waiting: dict[str, None] = {}  # for their turn in that one
        self._taken: dict[str, DeviceAtRest | None] = {}

    @property
    def waiting(self) -> bool:
        """Whether a snapshot waits for devices: then one that changes is taken down first."""
        return bool(self._waiting)

    def touch(self, user_id: str) -> None:
        """The device is about to change, to come or to go."""
        self._changed[user_id] = None
        if user_id in self._waiting:
            self._take(user_id)

    def begin(self) -> None:
        """A snapshot as of now, of all that changed since the last one."""
        self._waiting |= self._changed
        self._taken |= dict.fromkeys(self._waiting)  # in the order in which they came, whoever is taken down first
        self._changed = {}

    def go_on(self, most: int) -> bool:
        """Take down up to `most` more of them; whether any is left."""
        for user_id in list(islice(self._waiting, most)):
            self._take(user_id)
        return self.waiting

    def taken(self) -> dict[str, DeviceAtRest | None]:
        """What was taken down since the last call."""
        taken, self._taken = self._taken, {}
        return taken

    def forget(self) -> None:
        """All is saved as it is."""
        self._changed, self._waiting, self._taken = {}, {}, {}

    def _take(self, user_id: str) -> None:
        del self._waiting[user_id]
        self._taken[user_id] = self._take_down(user_id)
