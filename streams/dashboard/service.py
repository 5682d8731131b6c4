"""The live end of the dashboard: reads Kafka once a second in a thread, and answers what a browser asks."""

import threading
from typing import Self

import structlog

from monitor.seldom import Seldom
from streams.bus import BY_THE_WAY_MS, Bus, Partition
from streams.dashboard.crowd import Crowd
from streams.dashboard.frames import Frame, Frames, History
from streams.kafka.topics import TELEMETRY
from streams.watch.reader import StatusReader
from wire.clock import Clock
from wire.errors import CodaError

EVERY_S = 1.0
_READ_S = 30.0
_log = structlog.get_logger()


class DashboardService:
    """Looks while the context is open; raises `InputError` for a Kafka that has no topic `status`."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._reader = StatusReader(bus, clock)
        self._frames, self._crowd, self._cells = Frames(), Crowd(), ""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dashboard", daemon=True)
        self._seldom = Seldom()

    def __enter__(self) -> Self:
        self._reader.catch_up(_READ_S)
        assign: dict[Partition, int | None] = dict.fromkeys(self._bus.bounds(TELEMETRY))
        self._telemetry = self._bus.consumer(
            "coda-dashboard", [TELEMETRY], "earliest", assign=assign, within_ms=BY_THE_WAY_MS
        )
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(2 * EVERY_S)
        self._telemetry.close()
        self._reader.close()

    def look(self) -> None:
        """Take in what has come."""
        while messages := self._telemetry.poll(5000, 0):
            for message in messages:
                self._crowd.take(message.value, message.timestamp_ms)
        picture = self._reader.newest()
        self._cells = self._crowd.cells(picture.at_ms)
        with self._lock:
            self._frames.take(picture)

    def newest(self) -> Frame | None:
        """The last frame."""
        with self._lock:
            return self._frames.newest

    def since(self, number: int) -> list[Frame] | None:
        """Frames after `number`; None if that gap can't be filled."""
        with self._lock:
            return self._frames.since(number)

    def history(self) -> History:
        """All that is kept."""
        with self._lock:
            return self._frames.history()

    @property
    def cells(self) -> str:
        """A letter for each device, as of the last look."""
        return self._cells

    @property
    def crowd(self) -> Crowd:
        """All devices."""
        return self._crowd

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                self.look()
            except CodaError as error:  # the page says for how long there was no data, and goes on when there is
                self._seldom.warning(f"the dashboard hears nothing: {error}")
