"""How far a stage of this process is, from what its group committed and where its topic ends."""

from monitor.metrics import Metrics
from monitor.reached import Reached
from streams.bus import Bus
from wire.clock import Clock
from wire.status import Frontier


class Lookout:
    """Looks at one group's positions in one topic. A look waits for Kafka to answer: keep it out of a worker's way."""

    def __init__(self, bus: Bus, clock: Clock, metrics: Metrics, *, stage: str, group: str, topic: str) -> None:
        self._clock, self._metrics = clock, metrics
        self._stage, self._name, self._topic = stage, group, topic
        self._group = bus.group(group)
        self._reached: dict[int, Reached] = {}

    def look(self) -> list[Frontier]:
        """The frontier in each partition, also as metrics; raises `ConnectionFailed`."""
        asked_ms = self._clock.wall_ms()
        found, event_ms = [], self._metrics.event_frontier_ms(self._stage)
        for partition, span in self._group.spans(self._topic).items():
            until_ms = self._reached.setdefault(partition, Reached()).look(asked_ms, span.position, span.end)
            found.append(
                Frontier(
                    stage=self._stage,
                    partition=partition,
                    position=span.position,
                    end=span.end,
                    until_ms=until_ms,
                    event_ms=event_ms,
                )
            )
            self._show(found[-1])
        return found

    def close(self) -> None:
        """Let the connection go."""
        self._group.close()

    def _show(self, frontier: Frontier) -> None:
        labels = (self._name, self._topic, str(frontier.partition))
        self._metrics.lag_events.labels(*labels).set(frontier.behind)
        if frontier.until_ms:
            age_s = max(0, self._clock.wall_ms() - frontier.until_ms) / 1000 if frontier.behind else 0
            self._metrics.lag_seconds.labels(*labels).set(age_s)
            self._metrics.frontier_s.labels(self._stage, str(frontier.partition)).set(frontier.until_ms / 1000)
