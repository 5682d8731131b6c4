"""The MQTT broker: what the tunnel needs of one, as protocols that the real one and a simulated one both keep.

`streams.mqtt.paho_broker.PahoBroker` is any MQTT 5 broker, the embedded one too; devices have `device_sim.link.Link`.
`tests/streams/mqtt/test_broker_contract.py` holds each implementation to what is promised here:

* What a client publishes arrives at least once (QoS 1), as long as the client lives: it connects again by itself, and
  the next `taken` publishes again what was not confirmed. It does not do so by itself, since its owner may have stood
  still and lost to another what it had in hand. `taken` names what the broker has; nothing else is certain. Per topic
  the order is that of `publish`, except that a repetition may come after what was published later.
* What others publish arrives at least once while a subscription stands. Every connection is a new session: what was
  published while a client was away is lost to it, except what is retained. With `qos` 0 anything may be lost.
* Subscriptions of a `$share` group get each message once among them. What a member was sent and has not acknowledged
  when its connection ends may be lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

WINDOW = 200  # publishes on the wire at a time: two windows of 100 ms round trips still carry 2,000 messages/s


@dataclass(frozen=True, slots=True)
class Received:
    """A message from the broker, and what it takes to acknowledge it."""

    topic: str
    payload: bytes
    retained: bool
    mid: int
    connection: int


class Client(Protocol):
    """One connection that comes back by itself; all calls come from one thread, and none waits but by `timeout_s`."""

    @property
    def connections(self) -> int:
        """How often the broker has accepted us; each time it may have forgotten what it retained."""

    @property
    def connected(self) -> bool:
        """Whether the connection stands and all subscriptions are granted, as far as we know."""

    @property
    def unconfirmed(self) -> int:
        """How many publishes the broker has not confirmed."""

    def open(self) -> None:
        """Begin to connect and subscribe; `connected` says when that is done. Raises `ConnectionFailed` at once where
        no broker can be reached."""

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        token: Any = None,
        retain: bool = False,
        expiry_s: int | None = None,
        essential: bool = False,
    ) -> None:
        """Hand a message over; `taken` returns its `token` once the broker has it, however often we reconnect.

        An `essential` one that the broker refuses ends it all: `taken` raises.
        """

    def taken(self) -> list[Any]:
        """Tokens of the messages that the broker has confirmed since the last call; sends those that wait.

        Those are, after a connection ended, all that it left unconfirmed. Raises `DeliveryError` when the broker
        refused an essential one, `ConnectionFailed` when it will never have us.
        """

    def refused(self) -> list[Any]:
        """Tokens of the messages that the broker refused for good, as `taken` saw, since the last call."""

    def settle(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` until nothing is unconfirmed; whether so. `taken` tells of what was confirmed."""

    def received(self, at_most: int, timeout_s: float = 0.0) -> list[Received]:
        """Messages that came in, oldest first; waits up to `timeout_s` for the first one."""

    def acknowledge(self, messages: Sequence[Received]) -> None:
        """Tell the broker that it may forget these; in the order of `received`."""

    def unsubscribe(self) -> None:
        """Ask for no more messages; those on their way still arrive."""

    def start_over(self) -> list[Any]:
        """Connect anew and forget every publish that is unconfirmed: none of them follows what is published next.

        What `taken` would return, which sends what waits; raises as it does.
        """

    def close(self) -> None:
        """End the connection in order, so that no last will is told; what is unconfirmed is forgotten."""


class Broker(Protocol):
    """Makes clients."""

    @property
    def address(self) -> str:
        """Where it is, as messages to the user call it."""

    def client(self, client_id: str, subscriptions: Sequence[str] = (), *, qos: int = 1) -> Client:
        """A client, not open yet. A second one with this id takes the connection away from the first.

        What it receives is acknowledged by `acknowledge`, not before (unless `qos` is 0).
        """
