"""One batch of letters at a time on its way into Kafka, until Kafka has all of it."""

from collections.abc import Sequence

import structlog

from streams.bus import Bus, Producer
from streams.kafka.topics import DEAD_LETTERS
from streams.tunnel.upload import Letter
from wire.clock import Clock
from wire.dead_letter import DeadLetter
from wire.errors import DeliveryError

log = structlog.get_logger(__name__)

WAIT_S = 0.1  # for Kafka in one step: how long a stop may go unnoticed
PATIENCE_MS = 5_000  # how long Kafka may take for a batch before we say so, each time
GIVE_UP_S = 60  # then a producer gives up on a message, and a new one gets the whole batch


class Courier:
    """Sends a batch, and sends it again by a new producer when one gave up: at least once, in order."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus, self._clock = bus, clock
        self._by_ms = float("inf")
        self._said_ms = 0
        self._why = ""  # a producer gave up on this batch last
        self._letters: Sequence[Letter] = ()
        self._dead: Sequence[DeadLetter] = ()
        self._sent = True  # all of it to the producer
        self._producer = self._new_producer()

    def take(self, letters: Sequence[Letter], dead: Sequence[DeadLetter]) -> None:
        """Send this batch, as `arrived` is asked; the one before has arrived."""
        self._letters, self._dead, self._sent, self._why = letters, dead, False, ""
        self._said_ms = self._clock.steady_ms()

    def end_by(self, steady_ms: float) -> None:
        """Wait for Kafka no longer than until then."""
        self._by_ms = steady_ms

    def arrived(self) -> bool:
        """Whether Kafka has the batch, waiting a little for it; raises `DeliveryError` when the time is over."""
        try:
            if not self._sent:
                self._send()
            if self._producer.settled(WAIT_S):
                return True
        except DeliveryError as error:
            if self._late():
                raise
            first, self._why = not self._why, str(error)
            self._producer, self._sent = self._new_producer(), False
            if first:
                self._say()
        if self._late():
            waiting = len(self._letters) + len(self._dead)
            raise DeliveryError(f"{self._bus.name} has not taken {waiting} messages in time; devices keep their events")
        if self._clock.steady_ms() - self._said_ms >= PATIENCE_MS:
            self._say()
        return False

    def _late(self) -> bool:
        return self._clock.steady_ms() > self._by_ms

    def _say(self) -> None:
        self._said_ms = self._clock.steady_ms()
        waiting = len(self._letters) + len(self._dead)
        why = {"reason": self._why} if self._why else {}
        log.warning(
            "Kafka does not take uploads, trying until it does; devices keep their events", waiting=waiting, **why
        )

    def _new_producer(self) -> Producer:
        return self._bus.producer(give_up_s=GIVE_UP_S, stopping=self._late)

    def _send(self) -> None:
        for letter in self._letters:
            self._producer.send(letter.topic, letter.key, letter.value)
        for refused in self._dead:
            self._producer.send(DEAD_LETTERS, refused.key, refused.value, headers=refused.headers)
        self._sent = True
