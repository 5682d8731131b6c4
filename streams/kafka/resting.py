"""A reader of the embedded broker rests while nothing comes, and somebody more patient listens for it.

That broker answers a fetch which finds nothing when its time is over, whatever comes meanwhile: who wants to hear of
something within 10 ms asks a hundred times a second. A real Kafka answers as soon as there is something.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.kafka.connection import leave

CALM_S = 0.3  # without a message: a stream of four a second is never rested from
_LISTEN_MS = 200  # how late the first message after a silence may be heard
_ASK_S = 1.0  # then the consumer is asked, too: a group may have changed
_ANSWER_S = 0.5  # of a broker in this machine's memory


class Resting:
    """Pauses the partitions of `consumer` and listens in their place, by a client of its own made of `settings`.

    What the listener hears is not passed on: `consumer` is woken, and reads it again. All belongs to one thread.
    """

    def __init__(self, consumer: Consumer, settings: Mapping[str, Any]) -> None:
        self._consumer = consumer
        self._settings = {**settings, "fetch.wait.max.ms": _LISTEN_MS, "enable.partition.eof": False}
        self._listener: Consumer | None = None
        self._paused: list[TopicPartition] = []
        self._came_s = float("inf")  # until there is a first word, of a message or of an end

    def came(self, now_s: float, *, messages: bool) -> None:
        """Something came: no rest for a while after messages, nor after the first word that says there are none."""
        if messages or self._came_s == float("inf"):
            self._came_s = now_s

    def wait(self, positions: Mapping[tuple[str, int], int], now_s: float, left_s: float) -> bool:
        """Rest for up to `left_s`, if it is time to, at these known positions; whether it was."""
        if not self._paused:
            if now_s - self._came_s < CALM_S or not positions or min(positions.values()) < 0:
                return False
            self._rest([TopicPartition(*partition, offset) for partition, offset in positions.items()])
        assert self._listener is not None
        if self._listener.poll(min(left_s, _ASK_S)) is not None:
            self._came_s = now_s
            self.wake()
        return True

    def wake(self) -> None:
        """Let the consumer read again."""
        if not self._paused:
            return
        assert self._listener is not None
        self._listener.unassign()
        paused, self._paused = self._paused, []
        self._consumer.resume(paused)
        # librdkafka sees what was resumed within a second, or when it is asked something.
        with suppress(KafkaException):
            self._consumer.get_watermark_offsets(paused[0], timeout=_ANSWER_S)

    def close(self) -> None:
        """Let the listener's connection go; whoever closes reads no more."""
        self._paused = []
        if self._listener is not None:
            leave(self._listener)

    def _rest(self, partitions: list[TopicPartition]) -> None:
        self._listener = self._listener or Consumer(self._settings)
        self._consumer.pause(partitions)
        self._listener.assign(partitions)
        self._paused = partitions
