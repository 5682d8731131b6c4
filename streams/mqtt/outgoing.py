"""What a client publishes, from being handed over until the broker has said what became of it.

A window of publishes is on the wire; when their connection has ended, the client's owner has them wait again. The
client's own thread only says what the broker allows and answered; all else is called by the owner.
"""

import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from paho.mqtt.reasoncodes import ReasonCode

from device_sim.failures import Failures
from device_sim.mqtt_failure import Failure, of_code, of_size
from monitor.metrics import Metrics
from streams.mqtt.broker import WINDOW
from wire.errors import DeliveryError

log = structlog.get_logger(__name__)

_HEADER_BYTES = 32  # of a PUBLISH packet beside topic and payload: 1 + 4 + 2 + 2 + properties


@dataclass(frozen=True, slots=True)
class Publish:
    """One message; `token` is the owner's name for it."""

    topic: str
    payload: bytes
    retain: bool
    expiry_s: int | None
    token: Any
    essential: bool

    @property
    def nbytes(self) -> int:
        """How large its packet is at most."""
        return len(self.payload) + len(self.topic) + _HEADER_BYTES


class Outgoing:
    """The publishes of the client `client_id` of the broker at `address`; as long as how many are unconfirmed."""

    def __init__(self, client_id: str, address: str, metrics: Metrics) -> None:
        self._client_id, self._address, self._metrics = client_id, address, metrics
        self._window, self._most_bytes = WINDOW, sys.maxsize
        self._waiting: deque[Publish] = deque()
        self._too_large: deque[Publish] = deque()
        self._sent: dict[int, Publish] = {}
        self._answers: deque[tuple[int, ReasonCode]] = deque()
        self._taken: list[Any] = []
        self._refused: list[Any] = []
        self._refusals = Failures()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sent) + len(self._too_large)

    def put(self, publish: Publish) -> None:
        """Take one that is to be sent."""
        self._waiting.append(publish)

    def send(self, publish: Callable[[Publish], int]) -> bool:
        """Give what the window has room for to `publish`, which says the packet's number; whether there was any."""
        waiting = len(self._waiting)
        while self._waiting and len(self._sent) < self._window:
            message = self._waiting.popleft()
            if message.nbytes > self._most_bytes:
                self._too_large.append(message)
            else:
                self._sent[publish(message)] = message
        return len(self._waiting) < waiting

    def hear(self) -> None:
        """Sort publishes by what the broker said; raises `DeliveryError` when it refused one that was essential."""
        while self._too_large:
            message = self._too_large.popleft()
            self._refuse(message, of_size(len(message.payload), message.topic, self._most_bytes))
        while self._answers:
            number, reason = self._answers.popleft()
            message = self._sent.pop(number)
            if reason.is_failure:
                self._refuse(message, of_code(reason.value))
            else:
                self._taken.append(message.token)
        if line := self._refusals.line(time.monotonic()):
            log.warning(f"the MQTT broker refused messages: {line}", client=self._client_id)

    def taken(self) -> list[Any]:
        """Tokens of what was confirmed, as `hear` saw, since the last call."""
        tokens, self._taken = self._taken, []
        return tokens

    def refused(self) -> list[Any]:
        """Tokens of what was refused for good, as `hear` saw, since the last call."""
        tokens, self._refused = self._refused, []
        return tokens

    def again(self) -> None:
        """What was on the wire of a connection that is gone waits again, ahead of all else."""
        self._waiting.extendleft(reversed(self._sent.values()))
        self._sent.clear()

    def clear(self) -> None:
        """Forget all that is unconfirmed, and what a connection that is slow to end still says of it."""
        self._waiting.clear()
        self._sent.clear()
        self._answers.clear()

    # The client's own thread calls these.

    def allow(self, window: int, most_bytes: int) -> None:
        """What the broker said when it accepted us: publishes at a time, and bytes of a packet."""
        self._window, self._most_bytes = min(WINDOW, window), most_bytes

    def answered(self, number: int, reason: ReasonCode) -> None:
        """The broker's word on one packet."""
        self._answers.append((number, reason))

    def largest_sent(self) -> Publish | None:
        """The largest of those on the wire."""
        return max(list(self._sent.values()), key=lambda message: len(message.payload), default=None)

    def _refuse(self, message: Publish, failure: Failure) -> None:
        self._metrics.mqtt_refused.labels("tunnel", failure.reason).inc()
        if message.essential:
            raise DeliveryError(
                f"the MQTT broker at {self._address} refused {message.topic} "
                f"({len(message.payload)} bytes): {failure.text}"
            )
        self._refusals.add(failure)
        self._refused.append(message.token)
