"""What a trainer publishes, one after the other, each once Kafka has the one before; nothing in here waits for long."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

import structlog

from monitor.waiting import Waiting
from streams.bus import Bus, Message, Positions
from streams.kafka.topics import MODELS, TRAINER_GROUP
from wire.clock import Clock
from wire.errors import ConnectionFailed, InputError
from wire.malformed import Malformed
from wire.model import identify_model
from wire.signing import open_model

KEY = b"current"
_WAIT_S = 0.2  # for Kafka's word in one step: how long a stop may go unnoticed

_log = structlog.get_logger()


class Publication(NamedTuple):
    """One message, and what to do once Kafka has it."""

    topic: str
    value: bytes
    headers: Mapping[str, bytes]
    arrived: Callable[[], None]


class Publisher:
    """The only one to publish models, or it raises `InputError`: of two versions with one number nobody takes both.

    What comes on the topic and is no model is told of and passed over, as everybody does who reads it.
    """

    def __init__(self, bus: Bus, clock: Clock, stopping: Callable[[], bool]) -> None:
        self._bus = bus
        self._producer = bus.producer(stopping=stopping)
        self._queue: deque[Publication] = deque()
        self._sent: Publication | None = None
        self._waiting = Waiting(clock.steady_ms)
        self._seen = self._ends()  # up to where the topic is known
        self._own: bytes | None = None  # the model that was sent since

    def offer(self, publication: Publication) -> None:
        """Publish this after what was offered before."""
        self._queue.append(publication)

    def step(self) -> bool:
        """Send what comes next; whether Kafka has everything. Raises `DeliveryError` when it refuses something."""
        if self._sent is not None:
            if not self._producer.settled(_WAIT_S):
                return False
            self._own = self._sent.value if self._sent.topic == MODELS else self._own
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
            came = self._came()
        except ConnectionFailed as error:
            self._waiting.go_on(f"Kafka, to publish a version: {error}")
            return False
        self._waiting.over()
        others = [message for message in came if message.value != self._own]
        if any(map(_is_model, others)):
            raise InputError(f"another trainer publishes on {MODELS}: stop one of the two, and start this one again")
        if others:
            _log.warning(f"passed over what came on {MODELS} and is no model", number=len(others))
        self._own = None
        return True

    def _came(self) -> list[Message]:
        """What is on the topic since it was looked at, unless that is just what we sent."""
        ends = self._ends()
        new = {place: (self._seen.get(place, 0), end) for place, end in ends.items()}
        as_sent = sum(end - start for start, end in new.values()) == (self._own is not None)
        came = [] if as_sent else list(self._bus.read(f"{TRAINER_GROUP}-others", new))
        self._seen = ends  # now that it was: Kafka may go away in between
        return came

    def _ends(self) -> Positions:
        return {place: end for place, (_, end) in self._bus.bounds(MODELS).items()}


def _is_model(message: Message) -> bool:
    try:
        identify_model(open_model(message.value, None))
    except Malformed:
        return False
    return True
