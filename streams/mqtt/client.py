"""One MQTT 5 connection that comes back by itself and knows what the broker has taken.

paho does the protocol in a thread of its own; whoever owns the client calls it from one other thread,
so nothing here needs a lock: the two threads meet in deques only. paho's thread waits with `select`, which
knows no file descriptors above 1,023: this client is for processes with few connections.
"""

import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from paho.mqtt.client import (
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    MQTTv5,
)
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from streams.mqtt.connection import MqttSettings, probe, unreachable
from wire.errors import ConnectionFailed, DeliveryError
from wire.ids import topic_part

log = structlog.get_logger(__name__)

# Publishes on the wire at a time, ours: two windows of 100 ms round trips still carry 2,000 messages/s.
WINDOW = 200
KEEPALIVE_S = 15  # ours: a half-open connection is noticed within 1.5 times this
RECONNECT_S = (1, 10)  # ours: first and longest pause between attempts
_SHORT_S = 5.0  # ours: two connections in a row that hardly last are suspicious
_TWICE = "; does another tunnel run under the same name? Give each a --name of its own"
_HEADER_BYTES = 32  # of a PUBLISH packet beside topic and payload: 1 + 4 + 2 + 2 + properties
_SESSION_TAKEN_OVER = 142  # MQTT 5, 4.13


@dataclass(frozen=True, slots=True)
class Received:
    """A message from the broker, and what it takes to acknowledge it."""

    topic: str
    payload: bytes
    retained: bool
    mid: int
    connection: int


@dataclass(frozen=True, slots=True)
class _Publish:
    topic: str
    payload: bytes
    retain: bool
    expiry_s: int | None
    token: Any


class MqttClient:
    """Publishes at QoS 1 and receives; all methods belong to one thread.

    Messages received are acknowledged by `acknowledge`, not before (unless `qos` is 0). Every connection is a new
    session: what the broker should send is subscribed to again, what it should have is published again.
    """

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        subscriptions: Sequence[str] = (),
        *,
        qos: int = 1,
    ) -> None:
        # Quoted: a client id with one of / + # $ makes rumqttd panic, and then it takes nobody any more.
        self.settings, self.client_id = settings, topic_part(client_id)
        self.connections = 0  # how often the broker has accepted us
        self._subscriptions, self._qos = subscriptions, qos
        self._connected_s, self._short_connections = 0.0, 0
        self._ready = threading.Event()
        self._window = WINDOW
        self._waiting: deque[_Publish] = deque()
        self._sent: dict[int, _Publish] = {}
        self._pubacks: deque[tuple[int, ReasonCode]] = deque()
        self._received: deque[Received] = deque()
        self._arrived = threading.Event()
        self._largest = sys.maxsize  # bytes of a packet that the broker takes
        self._failure: Exception | None = None
        self._paho = self._make()

    def open(self, timeout_s: float = 10.0) -> None:
        """Connect and subscribe; raises `ConnectionFailed` when that takes longer than `timeout_s`."""
        probe(self.settings, timeout_s)
        try:
            self._paho.connect(self.settings.host, self.settings.port, KEEPALIVE_S, clean_start=True)
        except OSError as error:
            raise unreachable(self.settings, "it went away while we connected") from error
        self._paho.loop_start()
        if not self._ready.wait(timeout_s):
            raise ConnectionFailed(f"the MQTT broker at {self.settings.address} accepts no subscriptions; see its log")

    @property
    def connected(self) -> bool:
        """Whether the connection stands, as far as we know."""
        return self._ready.is_set()

    @property
    def unconfirmed(self) -> int:
        """How many publishes the broker has not confirmed."""
        return len(self._waiting) + len(self._sent)

    def publish(
        self, topic: str, payload: bytes, *, token: Any = None, retain: bool = False, expiry_s: int | None = None
    ) -> None:
        """Hand a message over; `taken` returns its `token` once the broker has it, however often we reconnect.

        Raises `DeliveryError` when the broker takes no packets of that size.
        """
        if len(payload) + len(topic) + _HEADER_BYTES > self._largest:
            raise DeliveryError(
                f"the MQTT broker takes packets of at most {self._largest} bytes and a message on {topic} has "
                f"{len(payload)}: raise its limit (mosquitto: max_packet_size)"
            )
        self._waiting.append(_Publish(topic, payload, retain, expiry_s, token))
        self._fill()

    def taken(self) -> list[Any]:
        """Tokens of the messages that the broker has confirmed since the last call.

        Raises `DeliveryError` when the broker refused one, `ConnectionFailed` when it will not have us any more.
        """
        self.check()
        tokens = []
        while self._pubacks:
            mid, reason = self._pubacks.popleft()
            publish = self._sent.pop(mid)
            if reason.is_failure:
                raise DeliveryError(f"the MQTT broker refused a message on {publish.topic}: {reason}; see its log")
            tokens.append(publish.token)
        self._fill()
        return tokens

    def received(self, at_most: int, timeout_s: float = 0.0) -> list[Received]:
        """Messages that came in, oldest first; waits up to `timeout_s` for the first one."""
        self.check()
        if not self._received and timeout_s > 0:
            self._arrived.wait(timeout_s)
        self._arrived.clear()
        return [self._received.popleft() for _ in range(min(at_most, len(self._received)))]

    def acknowledge(self, messages: Sequence[Received]) -> None:
        """Tell the broker that it may forget these; in the order of `received`, as MQTT and rumqttd demand."""
        for message in messages:
            if self._qos and message.connection == self.connections:  # message ids mean nothing on another connection
                self._paho.ack(message.mid, 1)

    def check(self) -> None:
        """Raise what ended this connection for good, if anything did."""
        if self._failure is not None:
            raise self._failure

    def unsubscribe(self) -> None:
        """Ask for no more messages; those on their way still arrive."""
        if self._subscriptions:
            self._paho.unsubscribe(list(self._subscriptions))

    def close(self) -> None:
        """End the connection."""
        self._waiting.clear()
        self._paho.disconnect()
        self._paho.loop_stop()
        self._ready.clear()

    def start_over(self) -> None:
        """Forget everything that the broker has not confirmed and connect anew: a stale message must not follow."""
        self._waiting.clear()
        self._paho.on_disconnect = None
        self._paho.disconnect()
        self._paho.loop_stop()
        self._sent.clear()
        self._pubacks.clear()
        self._ready.clear()
        self._paho = self._make()
        self._paho.connect_async(self.settings.host, self.settings.port, KEEPALIVE_S)
        self._paho.loop_start()

    def _make(self) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id=self.client_id, protocol=MQTTv5, manual_ack=True)
        client.max_inflight_messages_set(0)  # we keep the window ourselves: paho forgets it when it reconnects
        client.reconnect_delay_set(*RECONNECT_S)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe, client.on_publish, client.on_message = (
            self._on_subscribe,
            self._on_publish,
            self._on_message,
        )
        return client

    def _fill(self) -> None:
        while self._waiting and len(self._sent) < self._window and self.connected:
            message = self._waiting.popleft()
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            if message.expiry_s is not None:
                properties.MessageExpiryInterval = message.expiry_s
            info = self._paho.publish(message.topic, message.payload, 1, message.retain, properties)
            self._sent[info.mid] = message

    # What follows runs in paho's thread.

    def _on_connect(
        self, client: Client, _: Any, __: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            log.warning("the MQTT broker refuses us, trying again", client=self.client_id, reason=str(reason))
            return
        self.connections += 1
        self._connected_s = time.monotonic()
        self._window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
        self._largest = getattr(properties, "MaximumPacketSize", sys.maxsize)
        if self.connections > 1:
            log.info("connected to the MQTT broker again", client=self.client_id)
        if self._subscriptions:
            client.subscribe([(each, self._qos) for each in self._subscriptions])
        else:
            self._ready.set()

    def _on_subscribe(self, _: Client, __: Any, ___: int, reasons: list[ReasonCode], ____: Properties | None) -> None:
        refused = [f"{t} ({r})" for t, r in zip(self._subscriptions, reasons, strict=False) if r.is_failure]
        if refused:
            self._failure = ConnectionFailed(f"the MQTT broker refused to subscribe us to {', '.join(refused)}")
        self._ready.set()

    def _on_disconnect(
        self, _: Client, __: Any, ___: DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        self._ready.clear()
        if reason.value == _SESSION_TAKEN_OVER:
            self._failure = ConnectionFailed(
                f"another tunnel connected to MQTT as {self.client_id}; give each tunnel a --name of its own"
            )
        elif reason.is_failure:
            short = time.monotonic() - self._connected_s < _SHORT_S
            self._short_connections = self._short_connections + 1 if short else 0
            # Neither mosquitto 2.0 nor rumqttd tells us that another client came under our name.
            hint = _TWICE if self._short_connections >= 2 else ""
            log.warning(f"lost the MQTT broker, connecting again{hint}", client=self.client_id)

    def _on_publish(self, _: Client, __: Any, mid: int, reason: ReasonCode, ____: Properties | None) -> None:
        self._pubacks.append((mid, reason))

    def _on_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        self._received.append(
            Received(message.topic, bytes(message.payload), message.retain, message.mid, self.connections)
        )
        self._arrived.set()
