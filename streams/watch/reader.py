"""Statuses from Kafka, as they come: whoever watches needs Kafka's address and nothing else."""

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

from monitor.stages import STAGES
from monitor.words import Word
from streams.bus import BY_THE_WAY_MS, Bus, Partition
from streams.kafka.topics import STATUS
from streams.watch.fold import Fold
from streams.watch.picture import Picture
from streams.watch.recording import Recorder
from wire.clock import Clock
from wire.errors import ConnectionFailed, InputError
from wire.malformed import Malformed
from wire.status import decode_status

_GROUP = "coda-watch"
_LIVE = 100  # statuses by which clocks are compared
_APART_MS = 2000  # clocks that seem further apart are: a status is read within a second or so


class StatusReader:
    """Feeds a `Fold` with the topic `status`, from its beginning on, and a `recorder` if there is one.

    Once it has caught up, what comes tells how far Kafka's clock, which stamps statuses, is from this machine's.
    Raises `InputError` for a Kafka that has no such topic.
    """

    def __init__(self, bus: Bus, clock: Clock, recorder: Recorder | None = None) -> None:
        bounds = bus.bounds(STATUS)
        if not bounds:
            raise InputError(f"{bus.name} has no topic {STATUS}: no process of ours has ever run there")
        self.fold = Fold()
        self._bus, self._clock, self._recorder = bus, clock, recorder
        self._group = bus.group(_GROUP)
        everything = dict.fromkeys(bounds)
        self._ahead_ms: deque[int] = deque(maxlen=_LIVE)  # by so much Kafka's clock is at least
        self._is_live = False
        self._consumer = bus.consumer(_GROUP, [STATUS], "earliest", assign=everything, within_ms=BY_THE_WAY_MS)

    def poll(self, timeout_s: float = 0.1) -> int:
        """Take in what has come; how many there were."""
        messages = self._consumer.poll(timeout_s=timeout_s)
        if self._is_live:
            now_ms = self._clock.wall_ms()
            self._ahead_ms.extend(message.timestamp_ms - now_ms for message in messages)
        for message in messages:
            try:
                self.fold.take(decode_status(message.value), message.timestamp_ms)
            except Malformed:
                self.fold.refuse()
                continue
            if self._recorder is not None:
                self._recorder.take(message.value, message.timestamp_ms)
        return len(messages)

    def picture(self) -> Picture:
        """How everything is now, as far as it was read; what waits for a process that is gone is asked of Kafka."""
        now_ms = self.now_ms()
        picture = self.fold.picture(now_ms)
        down = [stage.stage for stage in picture.stages if stage.word is Word.DOWN and stage.stage in STAGES]
        topics = {STAGES[stage].reads for stage in down} - {""}
        if not topics or not any(process.up for process in picture.processes):  # Kafka itself may be away
            return picture
        with suppress(ConnectionFailed):
            for topic in topics:
                self.fold.ends(topic, {partition: span.end for partition, span in self._group.spans(topic).items()})
        return self.fold.picture(now_ms)

    def now_ms(self) -> int:
        """The moment by Kafka's clock, as far as what came tells that it is another one than this machine's."""
        ahead_ms = max(self._ahead_ms, default=0)
        return self._clock.wall_ms() + (ahead_ms if abs(ahead_ms) > _APART_MS else 0)

    def newest(self) -> Picture:
        """How everything is now, with all that has come."""
        while self.poll(0):
            pass
        return self.picture()

    def catch_up(self, limit_s: float) -> None:
        """Read all that is there by now; raises `ConnectionFailed` if that takes longer."""
        ends = {partition: end for partition, (_, end) in self._bus.bounds(STATUS).items() if end}
        end_ms = self._clock.steady_ms() + 1000 * limit_s
        while not self._is_at(ends):
            self.poll()
            if self._clock.steady_ms() > end_ms:
                raise ConnectionFailed(
                    f"{self._bus.name} did not give all of {STATUS} within {limit_s:.0f} s: try again"
                )
        self._is_live = True

    def _is_at(self, ends: Mapping[Partition, int]) -> bool:
        positions = self._consumer.positions()
        return all(positions.get(partition, -1) >= end for partition, end in ends.items())

    def close(self) -> None:
        """Let the connection go."""
        self._consumer.close()
        self._group.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
