"""How far this process's part of the dataflow is behind, as metrics: in events, and in seconds."""

import threading
from typing import Self

from monitor import metrics
from monitor.waiting import Waiting
from streams.bus import Bus
from streams.flow.source import Reader
from streams.kafka.topics import FLOW_GROUP
from wire.clock import Clock
from wire.errors import ConnectionFailed

_EVERY_S = 1.0
_JOIN_S = 5.0  # a look at a Kafka that is away takes up to 15 s


class LagWatch:
    """Looks once a second, in a thread of its own: asking the broker would hold the dataflow up.

    Events are those that the mirrored positions lack, as ordinary lag tools see them. Seconds are the age of the
    newest event that was taken, where any are left; the oldest one that is left is at most as old.
    """

    def __init__(self, bus: Bus, reader: Reader, clock: Clock) -> None:
        self._group = bus.group(FLOW_GROUP)
        self._reader = reader
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lag", daemon=True)

    def look(self) -> None:
        """Set the gauges of this process's partitions."""
        taken = self._reader.taken_ms()
        for topic in {topic for topic, _ in taken}:
            for partition, behind in self._group.lag(topic).items():
                produced_ms = taken.get((topic, partition))
                if produced_ms is None:
                    continue  # another process's
                age_s = (self._clock.wall_ms() - produced_ms) / 1000 if behind and produced_ms else 0.0
                metrics.lag_events.labels(FLOW_GROUP, topic, str(partition)).set(behind)
                metrics.lag_seconds.labels(FLOW_GROUP, topic, str(partition)).set(max(0.0, age_s))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(_JOIN_S)
        if not self._thread.is_alive():  # else Kafka is away: what waits for its answer goes with the process
            self._group.close()

    def _run(self) -> None:
        waiting = Waiting(self._clock.steady_ms)
        while not self._stop.wait(_EVERY_S):
            try:
                self.look()
                waiting.over()
            except ConnectionFailed as error:
                waiting.go_on(f"the lag to be known again: {error}")
            except Exception as error:  # gauges that stand still are no reason to stop the dataflow, nor to be silent
                waiting.go_on(f"the lag to be known again: {type(error).__name__}: {error}")
