"""Tells a fleet, while it runs, which population its devices follow, and sees in its counts that they do."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from device_sim.outcome import Attendances
from streams.faults.effect import Effect
from streams.faults.people import People
from streams.faults.timetable import Order
from streams.fleet.orders import Ordered
from wire.durable import write_durably

ORDERS = "orders.json"  # in the run folder
_WORDS = {
    Attendances.LEFT: "times away",
    Attendances.PUT_OFF: "trainings put off",
    Attendances.DELAYED: "trainings delayed",
    Attendances.UNFINISHED: "trainings unfinished",
    Attendances.CLOCK_SET: "times a clock was set",
}


class Crowd:
    """The fleet reads `path`; `counts` says how often each of its outcomes was counted so far."""

    def __init__(self, path: Path, counts: Callable[[], Mapping[str, float]]) -> None:
        self._path, self._counts = path, counts
        self._ordered: list[Ordered] = []

    def begin(self, people: People, order: Order, seed: int, now_ms: int) -> tuple[Effect, Callable[[], None]]:
        """From now on `order.devices` are these people; returns what ends it."""
        members = (0.0, 1.0) if order.devices is None else (order.devices.low, order.devices.high)
        ordered, before, effect = Ordered(people.table, members, seed, now_ms), dict(self._counts()), Effect()
        self._ordered.append(ordered)
        self._write()

        def end() -> None:
            self._ordered.remove(ordered)
            self._write()
            more = {words: int(self._counts().get(what, 0) - before.get(what, 0)) for what, words in _WORDS.items()}
            effect.seen = ", ".join(f"{count:,} {words}" for words, count in more.items() if count > 0)

        return effect, end

    def _write(self) -> None:
        write_durably(self._path, msgspec.json.encode(self._ordered))
