"""One MQTT 5 connection that comes back by itself and knows what the broker has taken.

paho does the protocol, in a thread of the client's own; whoever owns the client calls it from one other thread,
so nothing here needs a lock: the two threads meet in deques only. A connection that is not accepted and subscribed
within `ANSWER_S` is given up with a reason, counted, and tried again; no exception ends the thread.
"""

import contextlib
import selectors
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any

import structlog
from paho.mqtt.client import (
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    MQTTv5,
)
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device_sim.backoff import Backoff
from device_sim.failures import Failures
from device_sim.mqtt_dial import dial, read
from device_sim.mqtt_failure import (
    ANSWER_S,
    GARBLED,
    LOST,
    NO_CONNACK,
    NO_SUBACK,
    QUICK,
    QUICK_S,
    SHUT,
    SILENT,
    Failure,
    of_code,
    of_error,
    of_limits,
    of_size,
)
from monitor.metrics import Metrics
from streams.mqtt.broker import WINDOW, Received
from streams.mqtt.connection import MqttSettings, first_answer, probe
from streams.mqtt.outgoing import Outgoing, Publish
from wire.errors import ConnectionFailed, InputError
from wire.ids import topic_part

log = structlog.get_logger(__name__)

KEEPALIVE_S = 15  # a half-open connection is noticed within twice this
PROBE_S = 10.0
GOODBYE_S = 2.0  # how long a close may take
_MISC_S = 0.5  # between looks at what nobody wakes us for: pings, and that nothing came
_SETTLE_S = 0.001  # between looks at what is confirmed, when there is nothing else to do
_TWICE = 2
_KEEPALIVE = 141  # paho's reason when pings are not answered


class MqttClient:
    """Publishes at QoS 1 and receives; all methods belong to one thread.

    Messages received are acknowledged by `acknowledge`, not before (unless `qos` is 0). Every connection is a new
    session: what the broker should send is subscribed to again, and `taken` publishes again what it should have.
    """

    def __init__(
        self,
        settings: MqttSettings,
        metrics: Metrics,
        client_id: str,
        subscriptions: Sequence[str] = (),
        *,
        qos: int = 1,
    ) -> None:
        # Quoted: a client id with one of / + # $ makes rumqttd panic, and then it takes nobody any more.
        self.settings, self.client_id = settings, topic_part(client_id)
        self._metrics = metrics
        self._backoff = Backoff(Random(client_id))
        self.connections = 0  # how often the broker has accepted us
        self._subscriptions, self._qos = subscriptions, qos
        self._accepted = self._stood = False  # this connection: CONNACK came, and all subscriptions
        self._stood_s = float("-inf")
        self._ended: Failure | None = None  # why it ended, as far as we were told
        self._broke_off = 0  # how often in a row we were accepted and it ended in gibberish
        self._failures = Failures()
        self._ready = threading.Event()
        self._outgoing = Outgoing(self.client_id, settings.address, metrics)
        self._received: deque[Received] = deque()
        self._arrived = threading.Event()
        self._failure: Exception | None = None
        self._wakeful, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._closing = threading.Event()
        self._paho = self._make()  # of the newest connection; each has one of its own, which repeats nothing by itself
        self._resumed: Client | None = None  # the one that we publish to
        self._thread = self._new_thread()

    def open(self) -> None:
        """Begin to connect and subscribe; raises `ConnectionFailed` when no broker answers within 10 s."""
        probe(self.settings, PROBE_S)
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether the connection stands, as far as we know."""
        return self._ready.is_set()

    @property
    def unconfirmed(self) -> int:
        """How many publishes the broker has not confirmed."""
        return len(self._outgoing)

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

        Without an `essential` one there is no use in going on: `taken` raises when the broker refuses it.
        What is larger than the broker says it takes is never sent, and counts as refused.
        """
        if not self._outgoing:
            self._resumed = self._paho  # there is nothing to repeat
        self._outgoing.put(Publish(topic, payload, retain, expiry_s, token, essential))
        self._fill()

    def taken(self) -> list[Any]:
        """Tokens of the messages that the broker has confirmed since the last call; sends those that wait.

        Those are, after a connection ended, all that it left unconfirmed. What the broker refuses is counted and said;
        `refused` has its tokens. Raises `DeliveryError` when that was essential, `ConnectionFailed` when the broker
        will never have us as things are.
        """
        self._look()
        return self._outgoing.taken()

    def refused(self) -> list[Any]:
        """Tokens of the messages that the broker refused for good, as `taken` saw, since the last call."""
        return self._outgoing.refused()

    def settle(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` until the broker has confirmed everything; whether so. `taken` tells of what it has.

        Raises as `taken` does.
        """
        end_s = time.monotonic() + timeout_s
        self._look()
        while self.unconfirmed and time.monotonic() < end_s:
            time.sleep(_SETTLE_S)
            self._look()
        return not self.unconfirmed

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
        self._wake()

    def check(self) -> None:
        """Raise what ended this connection for good, if anything did."""
        if self._failure is not None:
            raise self._failure

    def unsubscribe(self) -> None:
        """Ask for no more messages; those on their way still arrive."""
        if self._subscriptions:
            self._paho.unsubscribe(list(self._subscriptions))
            self._wake()

    def close(self) -> None:
        """End the connection; `GOODBYE_S` is all the time that it has to say so."""
        self._end_thread()
        for end in (self._wakeful, self._waker):
            end.close()

    def start_over(self) -> list[Any]:
        """Forget everything that the broker has not confirmed and connect anew: a stale message must not follow.

        What `taken` would return, which sends what waits; raises as it does.
        """
        self.check()
        self._end_thread()
        self._outgoing.hear()
        self._outgoing.clear()
        self._closing, self._resumed = threading.Event(), None
        self._thread = self._new_thread()
        self._thread.start()
        return self._outgoing.taken()

    def _look(self) -> None:
        """See what the broker said of publishes, and send more of them."""
        self.check()
        paho = self._paho  # before we hear: of earlier connections nothing is said any more
        self._outgoing.hear()
        if paho is not self._resumed:
            self._outgoing.again()
            self._resumed = paho
        self._fill()

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, args=(self._closing,), name=self.client_id, daemon=True)

    def _end_thread(self) -> None:
        self._closing.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(GOODBYE_S)
        self._ready.clear()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full of such calls: it will wake; or closed
            self._waker.send(b"w")

    def _make(self) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id=self.client_id, protocol=MQTTv5, manual_ack=True)
        client.max_inflight_messages_set(0)  # we keep the window ourselves, as the broker's is told later
        client.on_socket_register_write = lambda *_: None  # only our thread writes; `_wake` tells it
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe, client.on_publish, client.on_message = (
            self._on_subscribe,
            self._on_publish,
            self._on_message,
        )
        return client

    def _fill(self) -> None:
        paho = self._paho  # a connection that follows meanwhile gets nothing of this
        if self.connected and paho is self._resumed and self._outgoing.send(partial(_publish, paho)):
            self._wake()

    # What follows runs in the client's own thread.

    def _run(self, closing: threading.Event) -> None:
        """Connect, again and again, until closed or nothing can help."""
        attempts = 0
        while not closing.is_set():
            failure = self._connection(closing)
            if closing.is_set():
                return
            self._metrics.mqtt_failures.labels("tunnel", failure.reason).inc()
            self._failures.add(failure)
            if failure.ends(let_in=self.connections > 0):
                self._fail(f"the MQTT broker at {self.settings.address}: {failure.text}")
                return
            if line := self._failures.line(time.monotonic()):
                log.warning(f"no connection to the MQTT broker, trying again: {line}", client=self.client_id)
            lasted = self._stood and time.monotonic() >= self._stood_s + QUICK_S
            attempts = 0 if lasted else attempts + 1
            closing.wait(self._backoff.pause_s(attempts))

    def _connection(self, closing: threading.Event) -> Failure:
        """One connection from its beginning to its end; why it ended."""
        self._accepted, self._stood, self._ended = False, False, None
        paho = self._paho
        try:
            self._paho = paho = self._make()  # which opens files
            self.settings.keyring.equip(paho, self.settings.name, self.settings.host)
            dial(paho, self.settings.host, self.settings.port, KEEPALIVE_S)
            failure = self._serve(closing, paho)
        except Exception as error:
            known = isinstance(error, OSError | UnicodeError | InputError)
            failure = of_error(error) if known else GARBLED._replace(text=f"{GARBLED.text} ({error!r})")
        finally:
            if paho is self._paho:  # else `start_over` did not wait for us, and what is ready is another connection
                self._ready.clear()
            _let_go(paho)
        largest = self._outgoing.largest_sent() if self._accepted and failure.reason == GARBLED.reason else None
        self._broke_off = self._broke_off + 1 if largest is not None else 0
        if largest is not None and self._broke_off >= _TWICE:
            # mosquitto's answer to a message that is too large is none of MQTT 5's
            return of_size(len(largest.payload), largest.topic)
        return failure

    def _serve(self, closing: threading.Event, paho: Client) -> Failure:
        """Read and write until the connection ends, or is not there after `ANSWER_S`; why."""
        answer_by_s = time.monotonic() + ANSWER_S
        paho.loop_write()
        if (failure := first_answer(paho, ANSWER_S)) is not None:
            return failure
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakeful, selectors.EVENT_READ)
            sock: Any = paho.socket()
            selector.register(sock, selectors.EVENT_READ)
            while self._ended is None and paho.socket() is not None and not closing.is_set():
                if not self._stood and time.monotonic() > answer_by_s:
                    return NO_SUBACK if self._accepted else NO_CONNACK
                write = selectors.EVENT_WRITE if paho.want_write() else 0
                selector.modify(sock, selectors.EVENT_READ | write)
                for key, _ in selector.select(_MISC_S):
                    if key.fileobj is self._wakeful:
                        self._wakeful.recv(4096)
                    elif read(paho) == MQTTErrorCode.MQTT_ERR_PROTOCOL:
                        return self._ended or GARBLED  # paho says so of a refusal, too
                if paho.want_write():
                    paho.loop_write()
                paho.loop_misc()
        if self._ended is None and time.monotonic() < self._stood_s + QUICK_S:
            return QUICK
        return self._ended or (LOST if self._accepted else SHUT)

    def _fail(self, why: str) -> None:
        self._failure = ConnectionFailed(why)
        self._arrived.set()
        self._ready.set()

    def _on_connect(
        self, client: Client, _: Any, __: ConnectFlags, reason: ReasonCode, granted: Properties | None
    ) -> None:
        wildcard = any("+" in each for each in self._subscriptions)
        shared = any(each.startswith("$share/") for each in self._subscriptions)
        self._ended = (
            of_code(reason.value) if reason.is_failure else of_limits(granted, wildcard=wildcard, shared=shared)
        )
        if self._ended is not None:
            return
        self._accepted = True
        self.connections += 1
        if self.connections > 1:
            log.info("connected to the MQTT broker again", client=self.client_id)
        largest = getattr(granted, "MaximumPacketSize", sys.maxsize)
        self._outgoing.allow(getattr(granted, "ReceiveMaximum", WINDOW), largest)
        if self._subscriptions:
            client.subscribe([(each, self._qos) for each in self._subscriptions])
        else:
            self._stand()

    def _on_subscribe(self, _: Client, __: Any, ___: int, reasons: list[ReasonCode], ____: Properties | None) -> None:
        refused = [f"{t} ({r})" for t, r in zip(self._subscriptions, reasons, strict=False) if r.is_failure]
        if refused:
            self._fail(f"the MQTT broker refused to subscribe us to {', '.join(refused)}")
        self._stand()

    def _stand(self) -> None:
        self._stood, self._stood_s = True, time.monotonic()
        self._ready.set()

    def _on_disconnect(self, client: Client, _: Any, flags: DisconnectFlags, reason: ReasonCode, __: Any) -> None:
        if client is not self._paho:
            return
        self._ready.clear()
        if flags.is_disconnect_packet_from_server:
            self._ended = self._ended or of_code(reason.value)
        elif reason.value == _KEEPALIVE:
            self._ended = self._ended or SILENT

    def _on_publish(self, _: Client, __: Any, mid: int, reason: ReasonCode, ____: Properties | None) -> None:
        self._outgoing.answered(mid, reason)

    def _on_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        self._received.append(
            Received(message.topic, bytes(message.payload), message.retain, message.mid, self.connections)
        )
        self._arrived.set()


def _let_go(paho: Client) -> None:
    paho.disconnect()
    paho.loop_write()
    sock: Any = paho.socket()
    if sock is not None:  # it takes no goodbye
        sock.close()


def _publish(paho: Client, message: Publish) -> int:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if message.expiry_s is not None:
        properties.MessageExpiryInterval = message.expiry_s
    return paho.publish(message.topic, message.payload, 1, message.retain, properties).mid
