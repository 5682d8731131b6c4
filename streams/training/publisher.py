"""What a trainer publishes, one after the other, each once Kafka has the one before; nothing in here waits for long."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from monitor.waiting import Waiting
from streams.bus import Bus
from streams.kafka.topics import MODELS
from wire.clock import Clock
from wire.errors import ConnectionFailed, InputError

KEY = b"current"
_WAIT_S = 0.2  # for Kafka's word in one step: how long a stop may go unnoticed


class Publication(NamedTuple):
    """One message, and what to do once Kafka has it."""

    topic: str
    value: bytes
    headers: Mapping[str, bytes]
    arrived: Callable[[], None]


class Publisher:
    """The only one to publish models, or it raises `InputError`: of two versions with one number nobody takes both."""

    def __init__(self, bus: Bus, clock: Clock, stopping: Callable[[], bool]) -> None:
        self._bus = bus
        self._producer = bus.producer(stopping=stopping)
        self._queue: deque[Publication] = deque()
        self._sent: Publication | None = None
        self._waiting = Waiting(clock.steady_ms)
        self._models_end = self._end_of_models()

    def offer(self, publication: Publication) -> None:
        """Publish this after what was offered before."""
        self._queue.append(publication)

    def step(self) -> bool:
        """Send what comes next; whether Kafka has everything. Raises `DeliveryError` when it refuses something."""
        if self._sent is not None:
            if not self._producer.settled(_WAIT_S):
                return False
            self._models_end += self._sent.topic == MODELS
            self._sent.arrived()
            self._sent = None
        if self._queue and (self._queue[0].topic != MODELS or self._is_alone()):
            self._sent = self._queue.popleft()
            self._producer.send(self._sent.topic, KEY, self._sent.value, headers=self._sent.headers)
        return self._sent is None and not self._queue

    def finish(self, within_s: float) -> None:
        """Wait for what is sent, and send no more; raises `DeliveryError` when Kafka takes longer for it."""
        self._queue.clear()
        self._producer.flush(within_s)
        self.step()

    def _is_alone(self) -> bool:
        """Whether nobody else published since; False, for now, while Kafka is away."""
        try:
            end = self._end_of_models()
        except ConnectionFailed as error:
            self._waiting.go_on(f"Kafka, to publish a version: {error}")
            return False
        if end != self._models_end:
            raise InputError(f"another trainer publishes on {MODELS}: stop one of the two, and start this one again")
        self._waiting.over()
        return True

    def _end_of_models(self) -> int:
        return sum(end for _, end in self._bus.bounds(MODELS).values())
