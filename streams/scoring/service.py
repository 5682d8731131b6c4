"""A scorer's I/O: events in from one topic, and on to `events` with what is expected of each; its state on disk."""

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import replace

import numpy as np
import structlog

from monitor.freshness import observe_freshness
from monitor.metrics import Metrics
from operators.decode import Arrived
from operators.event_time import PATIENCE_MS
from streams.bus import Bus, Consumer, Partition, Producer, never
from streams.kafka.topics import DEAD_LETTERS, EVENTS, SCORE_GROUP
from streams.scoring.merge import Merge
from streams.scoring.scorer import Scored, Scorer
from streams.scoring.state import ScoringState
from wire.clock import Clock
from wire.errors import DeliveryError, InputError

STAGE = "scored"
_BATCH = 2_000  # messages at once: some 50 ms of work
_MANY = _BATCH // 4  # of so many at once there are more behind them
_HELD_MOST = 10_000  # of a partition until it is read on: 3 MB
_POLL_S = 0.2
_COMMIT_EVERY_MS = 200
_SETTLE_S = 0.05  # that a commit waits for what was just sent

_log = structlog.get_logger()


def topic_bounds(bus: Bus, topic: str) -> dict[Partition, tuple[int, int]]:
    """As `Bus.bounds`; raises `InputError` where there is no such topic."""
    bounds = bus.bounds(topic)
    if not bounds:
        raise InputError(f"{bus.name} has no topic {topic}: create it, or give another --topic")
    return bounds


class ScoringService:
    """A `Scorer` on a bus, a step at a time: it reads `topic` from `positions` on, or from its beginning.

    `state` is written every `epoch_ms`, once all that was sent is there, and at the end: whoever goes on from it says
    again what was said since, of the same events by the same ids. `disk` writes it, while the stream goes on.
    Raises `DeliveryError` when Kafka refuses something or dropped what was not read yet, `InputError` where it does not
    have these positions, and `StorageError`.
    """

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        metrics: Metrics,
        scorer: Scorer,
        state: ScoringState,
        *,
        topic: str,
        positions: Mapping[Partition, int],
        epoch_ms: int,
        disk: Executor,
        stopping: Callable[[], bool] = never,
    ) -> None:
        self._bus, self._clock, self._metrics = bus, clock, metrics
        self._scorer, self._state, self._topic = scorer, state, topic
        self._epoch_ms, self._disk = epoch_ms, disk
        self._writing: Future[None] | None = None
        self._producer: Producer = bus.producer(stopping=stopping)
        self._consumer = self._reading(positions)
        self._merge = Merge()
        self._ended: set[Partition] = set()
        self._paused: set[Partition] = set()
        self._kept: dict[Partition, int] | None = None  # positions of the state on disk
        self._kept_ms = self._committed_ms = clock.steady_ms()

    def step(self) -> int:
        """Pass on what has come; returns how many events that were."""
        arrived = self._read()
        ended = {each for each in self._positions() if self._consumer.at_end(each)} - self._merge.first().keys()
        steady_ms = self._clock.steady_ms()
        news, self._ended = {number for _, number in ended - self._ended}, self._ended | ended
        self._send(self._scorer.take(arrived, steady_ms, news))
        if steady_ms >= self._committed_ms + _COMMIT_EVERY_MS:
            self._committed_ms = steady_ms
            self._commit()
        # Who is held waits for a state that says how long.
        every_ms = min(self._epoch_ms, PATIENCE_MS) if self._scorer.waiting else self._epoch_ms
        if self._writing is not None and self._writing.done():
            self._written()
        if steady_ms >= self._kept_ms + every_ms:
            if self._scorer.waiting:
                self.keep()
            elif self._writing is None:
                self._write()
        return len(arrived)

    def keep(self) -> None:
        """Write down how far it is and wait until that is done; then decide about what was held."""
        self._written()
        self._write()
        self._written()
        self._send(self._scorer.settle(self._clock.steady_ms()))

    def close(self) -> None:
        """Let the connections go."""
        try:
            self._written()
        finally:
            self._consumer.close()

    def _write(self) -> None:
        """Wait until Kafka has all that was sent, and begin to write down how far that is, if that is new."""
        positions = self._positions()
        self._producer.flush()
        self._kept_ms = self._clock.steady_ms()
        if positions == self._kept and not self._scorer.waiting:
            return
        known = {partition: offset for partition, offset in positions.items() if offset >= 0}
        snapshot = self._state.snapshot(self._scorer, known, self._kept_ms)
        self._writing = self._disk.submit(self._state.put, snapshot)
        self._kept = positions

    def _written(self) -> None:
        """Wait until what is being written is."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _read(self) -> list[Arrived]:
        """What came, by event time where partitions are behind."""
        came = self._consumer.poll(_BATCH, _POLL_S)
        self._merge.put(came, self._clock.wall_ms())
        behind = {each for each in self._consumer.positions() if not self._consumer.at_end(each)}
        taken = self._merge.take(behind | (self._merge.first().keys() if len(came) >= _MANY else set()))
        full = self._merge.more_than(_HELD_MOST)
        if full != self._paused:
            self._consumer.resume([*(self._paused - full)])
            self._consumer.pause([*(full - self._paused)])
            self._paused = full
        return taken

    def _positions(self) -> dict[Partition, int]:
        """What comes next; what waits was not taken yet."""
        return self._consumer.positions() | self._merge.first()

    def _reading(self, positions: Mapping[Partition, int]) -> Consumer:
        bounds = topic_bounds(self._bus, self._topic)
        for (topic, number), offset in positions.items():
            if topic != self._topic:
                raise InputError(f"this state is of a scorer with --topic {topic}: give that, or another --state")
            first, end = bounds.get((topic, number), (0, 0))
            if not first <= offset <= end:
                raise InputError(
                    f"the scorer would go on at offset {offset} of {topic}[{number}], but {self._bus.name} has "
                    f"{first} to {end}: give another --state, and it begins anew by --initial-log"
                )
        # A forgetful bus drops what is old: who begins there at 0 hears of it.
        anew = 0 if self._bus.forgetful else None
        assign = {partition: positions.get(partition, anew) for partition in bounds}
        return self._bus.consumer(SCORE_GROUP, [self._topic], "earliest", assign=assign)

    def _send(self, scored: Scored) -> None:
        for event in scored.events:
            self._producer.send(EVENTS, event.user_id, event.value, timestamp_ms=event.produced_ms)
        for said, number in Counter(event.said for event in scored.events).items():
            self._metrics.events_scored.labels(said).inc(number)
        now_ms = self._clock.wall_ms()
        produced_ms = np.array([min(event.produced_ms, now_ms) for event in scored.events], np.int64)
        observe_freshness(self._metrics, STAGE, produced_ms, now_ms)
        for refused in scored.refused:
            letter = replace(refused, origin=replace(refused.origin, source=self._topic))
            self._producer.send(DEAD_LETTERS, letter.key, letter.value, headers=letter.headers)
            self._metrics.rejected.labels(letter.reason).inc()
        if scored.refused:
            first = scored.refused[0]
            _log.warning("dead letters", number=len(scored.refused), first=f"{first.reason}: {first.detail}")
        if scored.event_ms >= 0:
            newest_ms = max(scored.event_ms, self._metrics.event_frontier_ms(STAGE))
            self._metrics.event_frontier_s.labels(STAGE).set(newest_ms / 1000)

    def _commit(self) -> None:
        """Positions for lag tools and throttles alone, of what Kafka has; a restart goes by the state."""
        if not self._producer.settled(_SETTLE_S):
            return
        try:
            self._consumer.commit(self._positions())
        except DeliveryError as error:
            _log.warning(f"positions not committed, trying again: {error}")
