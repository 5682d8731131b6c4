"""What a fleet's devices learned, read a few at a time and told in the file of tastes."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from device_sim.fleet import Fleet
from device_sim.learned import Learned
from device_sim.taste import Taste
from monitor.seldom import Seldom
from streams.fleet.errand import Work
from streams.fleet.hands import Hands
from streams.fleet.names import Names
from streams.fleet.taste_file import FILE, read_tastes
from wire.durable import write_durably
from wire.errors import InputError, StorageError
from wire.outcome import Trainings

EVERY_MS = 5_000
# Devices read at a time, 3 ms each where windows are full; of 1,000 each is read again after some three minutes.
AT_ONCE = 25

log = structlog.get_logger(__name__)


class Tastes:
    """Those of all devices, in `folder`; who was read longest ago is read next, if it trained since then."""

    def __init__(self, folder: Path, fleet: Fleet, names: Names) -> None:
        self._file, self._fleet, self._names = folder / FILE, fleet, names
        self._known: dict[str, Taste] = {}
        try:
            self._known = read_tastes(self._file)
        except InputError as error:
            log.warning(f"{error}")
        for taste in self._known.values():
            names.hear(name for name, _ in taste.categories)
            names.hear(name for item, category, _ in (*taste.items, *taste.returns) for name in (item, category))
        self._read: dict[str, int] = {}  # accepted trainings by then, in the order of reading
        self._seldom = Seldom()

    def work(self, hands: Hands) -> Work:
        """Read the next devices and write the file, aside: copies are all that a round waits for."""
        self._read = {user: n for user, n in self._read.items() if user in self._fleet.devices}
        self._known = {user: taste for user, taste in self._known.items() if user in self._fleet.devices}
        learned = [(user, found) for user in self._next() if (found := Learned.of(self._fleet, user)) is not None]
        if learned:
            yield hands.aside.submit(self._write, learned)

    def _next(self) -> list[str]:
        trained = {user: device.usage.trainings[Trainings.ACCEPTED] for user, device in self._fleet.devices.items()}
        waiting = [user for user in trained if trained[user] and user not in self._read]
        waiting += [user for user, before in self._read.items() if trained[user] != before]
        for user in waiting[:AT_ONCE]:
            self._read.pop(user, None)
            self._read[user] = trained[user]
        return waiting[:AT_ONCE]

    def _write(self, learned: Sequence[tuple[str, Learned]]) -> None:
        self._known |= {user: each.taste(self._names) for user, each in learned}
        try:
            write_durably(self._file, msgspec.json.encode(self._known))
        except StorageError as error:  # nothing depends on it, and snapshots go to the same disk
            self._seldom.warning(f"what devices learned is not written: {error}")
