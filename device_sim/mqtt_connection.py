"""One device's MQTT connection, which comes back by itself; paho speaks the protocol, an asyncio loop waits for it.

Every attempt ends: with a connection that may publish and has its subscriptions, or within `ANSWER_S` with a reason.
"""

import asyncio
import math
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device_sim.mqtt_dial import dial, read
from device_sim.mqtt_failure import (
    ANSWER_S,
    FEWER,
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
    of_first_bytes,
    of_limits,
    of_size,
)

KEEPALIVE_S = 30  # a half-open connection is noticed within twice this
_TWICE = 2
_WITH_WILL = ReasonCode(PacketTypes.DISCONNECT, identifier=4)
_INFLIGHT = 20  # publishes on the wire at a time, if the broker takes as many
_NO_SUBSCRIBERS = 16  # MQTT 5, PUBACK: the broker need not say so, and mosquitto does
_KEEPALIVE = 141  # paho's reason when pings are not answered
_HEADER_BYTES = 32  # of a PUBLISH packet beside topic and payload: 1 + 4 + 2 + 2 + properties


@dataclass(frozen=True, slots=True)
class Identity:
    """Who connects: user id (empty for the fleet itself), client id, what it subscribes, where it says what.

    On `topic` it says `hello` when it is there, and, where it is retained, `goodbye` when it leaves or vanishes.
    """

    user_id: str
    name: str
    subscriptions: tuple[str, ...]
    topic: str
    hello: bytes
    goodbye: bytes = b""


class Owner(Protocol):
    """What a connection needs of whoever holds many."""

    def equip(self, who: Identity, client: Client) -> None:
        """Give a client that has not connected yet what proves who it is; raises `InputError`."""

    def turn(self, who: Identity) -> AbstractAsyncContextManager[ThreadPoolExecutor]:
        """Wait for this one's turn to connect, which lasts until it is answered, with threads to block in."""

    def came_up(self, who: Identity) -> None:
        """A connection stands, subscriptions included."""

    def went_down(self, who: Identity) -> None:
        """A connection that stood does so no more."""

    def failed(self, who: Identity, failure: Failure) -> None:
        """An attempt or a connection ended, and not because we wanted."""

    def refused(self, who: Identity, topic: str, failure: Failure) -> None:
        """The broker did not take a message or a subscription."""

    def unheard(self, who: Identity, topic: str) -> None:
        """The broker took a message, and says that nobody subscribes to its topic."""

    def came(self, who: Identity, topic: str, payload: bytes) -> None:
        """A message arrived."""

    def pause_s(self, who: Identity, failures: int) -> float:
        """How long this one waits after so many failed attempts in a row; 0 when a connection was lost that stood."""


class Connection:
    """One connection; every method but the connection attempt runs on the loop."""

    def __init__(self, address: tuple[str, int], who: Identity, owner: Owner) -> None:
        self._address, self._who, self._owner = address, who, owner
        self._loop = asyncio.get_running_loop()
        self._answered, self._lost = asyncio.Event(), asyncio.Event()
        self._plugged_in = asyncio.Event()
        self._plugged_in.set()
        self._accepted = self._up = self._closing = self._equipped = False
        self._ended: Failure | None = None  # why the connection ended, as far as we were told
        self._up_s = math.inf  # since when it stands, or stood
        self._watched = -1  # the socket that the loop watches for us
        self._failures = 0
        self._pending: dict[int, tuple[int, str]] = {}  # what the broker has not confirmed: bytes and topics
        self._largest = sys.maxsize  # bytes of a packet that the broker takes
        self._inflight = _INFLIGHT
        self._broke_off = 0  # how often in a row it was accepted and ended in gibberish
        self._client = self._make_client()
        self._task = self._loop.create_task(self._stay_connected())

    @property
    def unconfirmed(self) -> int:
        """How many messages the broker has not confirmed."""
        return len(self._pending)

    @property
    def up(self) -> bool:
        """Whether the connection stands."""
        return self._up

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send at QoS 1; paho sends what is unconfirmed again after a reconnect. Not what the broker says it won't."""
        size = len(payload) + len(topic) + _HEADER_BYTES
        if size > self._largest:
            self._owner.refused(self._who, topic, of_size(size, topic, self._largest))
            return
        self._pending[self._client.publish(topic, payload, 1, retain).mid] = size, topic

    def keep_house(self) -> None:
        """Pings, and noticing that they are not answered."""
        if self._task.done() and not self._closing:
            self._task.result()  # it never ends by itself: raise what ended it
        if self._up:
            self._client.loop_misc()

    def unplug(self) -> None:
        """Break off, and try nothing until it is plugged in again: not a failure, and nobody hears of it as one."""
        if self._plugged_in.is_set():
            self._plugged_in.clear()
            self._end(None)

    def plug_in(self) -> None:
        """Connect again, if it is unplugged."""
        self._plugged_in.set()

    def say_goodbye(self) -> None:
        """Announce that we leave; no reconnecting from now on."""
        self._closing = True
        if self._up and self._who.goodbye:
            self.publish(self._who.topic, self._who.goodbye, retain=True)

    async def close(self) -> None:
        """Disconnect in order, or stop trying to connect."""
        self._closing = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._up:
            self._client.disconnect()
            self._client.loop_write()
        self._drop()

    def _make_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=self._who.name, protocol=MQTTv5, reconnect_on_failure=False
        )
        if self._who.goodbye:
            client.will_set(self._who.topic, self._who.goodbye, 1, True)
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_disconnect, client.on_message = self._on_disconnect, self._on_message
        client.on_publish = self._on_publish
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        return client

    async def _stay_connected(self) -> None:
        while not self._closing:
            await self._plugged_in.wait()
            self._answered.clear()
            self._lost.clear()
            self._accepted, self._ended, self._up_s = False, None, math.inf
            async with self._owner.turn(self._who) as threads:
                if self._lost.is_set():  # unplugged while it waited
                    continue
                failure = await self._loop.run_in_executor(threads, self._attempt) or await self._until_answered()
            failure = failure or await self._until_lost()
            self._drop()
            if self._closing:
                return
            if not self._plugged_in.is_set():
                self._failures = 0
                continue
            self._owner.failed(self._who, failure)
            if self._up_s + QUICK_S <= self._loop.time():  # one that is cut at once every time is no good connection
                self._failures = 0
            await asyncio.sleep(self._owner.pause_s(self._who, self._failures))
            self._failures += 1

    def _attempt(self) -> Failure | None:
        """Connect, blocking, in a thread: nobody else touches the client meanwhile."""
        try:
            if self._client.max_inflight_messages != self._inflight:
                self._client.max_inflight_messages = self._inflight
            if not self._equipped:
                self._owner.equip(self._who, self._client)
                self._equipped = True
            code = dial(self._client, *self._address, KEEPALIVE_S)
        except Exception as error:
            return of_error(error)
        return None if code == MQTTErrorCode.MQTT_ERR_SUCCESS else SHUT

    async def _until_answered(self) -> Failure | None:
        """Wait for CONNACK and SUBACK, or for what comes instead."""
        self._watch()
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._answered.wait()
        except TimeoutError:
            return NO_SUBACK if self._accepted else NO_CONNACK
        return None

    async def _until_lost(self) -> Failure:
        await self._lost.wait()
        gibberish = self._ended is not None and self._ended.reason == GARBLED.reason
        self._broke_off = self._broke_off + 1 if self._accepted and gibberish and self._pending else 0
        if self._broke_off >= _TWICE:  # mosquitto's answer to a message that is too large is none of MQTT 5's
            return of_size(*max(self._pending.values()))
        if self._ended is not None:
            return self._ended
        if not self._accepted:
            return SHUT
        return QUICK if self._loop.time() - self._up_s < QUICK_S else LOST

    def _watch(self) -> None:
        sock = self._client.socket()
        if sock is None:
            self._end(None)
            return
        self._watched = sock.fileno()
        self._loop.add_reader(self._watched, self._first_read)
        if self._client.want_write():
            self._loop.add_writer(self._watched, self._write)

    def _unwatch(self) -> None:
        if self._watched >= 0:
            self._loop.remove_reader(self._watched)
            self._loop.remove_writer(self._watched)
        self._watched = -1

    def _first_read(self) -> None:
        """Look who answers before paho reads it as MQTT."""
        sock: Any = self._client.socket()
        try:
            strange = None if isinstance(sock, ssl.SSLSocket) else of_first_bytes(sock.recv(8, socket.MSG_PEEK))
        except BlockingIOError:
            return
        except OSError as error:
            strange = of_error(error)
        if strange is not None:
            self._unwatch()
            self._end(strange)
            return
        self._loop.add_reader(self._watched, self._read)
        self._read()

    def _read(self) -> None:
        try:
            code = read(self._client)
        except Exception as error:
            self._unwatch()
            self._end(GARBLED._replace(text=f"{GARBLED.text} ({error!r})"))
            return
        if code == MQTTErrorCode.MQTT_ERR_PROTOCOL:
            self._end(GARBLED)  # paho has told `_on_disconnect`, but not why

    def _write(self) -> None:
        self._client.loop_write()

    def _drop(self) -> None:
        """Let go of the socket, whatever paho thinks of it."""
        self._unwatch()
        self._client.disconnect(_WITH_WILL)
        self._client.loop_write()
        sock: Any = self._client.socket()
        if sock is not None:  # it takes no goodbye
            sock.close()
        self._went_down()

    def _end(self, why: Failure | None) -> None:
        """The connection is over; the first reason stands."""
        self._ended = self._ended or why
        self._went_down()
        self._answered.set()
        self._lost.set()

    def _went_down(self) -> None:
        if self._up:
            self._up = False
            self._owner.went_down(self._who)

    def _on_connect(
        self, client: Client, _: Any, __: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        lacks = of_code(reason.value) if reason.is_failure else of_limits(properties)
        inflight = getattr(properties, "ReceiveMaximum", self._inflight)
        if lacks is None and inflight < self._inflight:  # paho has to know before it connects
            self._inflight, lacks = inflight, FEWER
        if lacks is not None:
            self._end(lacks)
            return
        self._accepted = True
        self._largest = getattr(properties, "MaximumPacketSize", sys.maxsize)
        client.subscribe([(topic, 1) for topic in self._who.subscriptions])

    def _on_subscribe(self, _: Client, __: Any, ___: int, reasons: list[ReasonCode], ____: Properties | None) -> None:
        for topic, reason in zip(self._who.subscriptions, reasons, strict=False):
            if reason.is_failure:
                self._owner.refused(self._who, topic, of_code(reason.value))
        if self._closing:  # who came now would have said no goodbye
            self._end(None)
            return
        self._up, self._up_s = True, self._loop.time()
        self._answered.set()
        self.publish(self._who.topic, self._who.hello, retain=bool(self._who.goodbye))
        self._owner.came_up(self._who)

    def _on_disconnect(
        self, _: Client, __: Any, flags: DisconnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._end(of_code(reason.value))
        else:
            self._end(SILENT if reason.value == _KEEPALIVE else None)

    def _on_publish(self, _: Client, __: Any, mid: int, reason: ReasonCode, ___: Properties | None) -> None:
        _nbytes, topic = self._pending.pop(mid, (0, ""))
        if reason.is_failure:
            self._owner.refused(self._who, topic, of_code(reason.value))
        elif reason.value == _NO_SUBSCRIBERS:
            self._owner.unheard(self._who, topic)

    def _on_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        self._owner.came(self._who, message.topic, bytes(message.payload))

    # These may come from the connecting thread too, but only before the loop watches the socket.

    def _on_socket_close(self, _: Client, __: Any, ___: Any) -> None:
        self._unwatch()

    def _on_register_write(self, _: Client, __: Any, ___: Any) -> None:
        if self._watched >= 0:
            self._loop.add_writer(self._watched, self._write)

    def _on_unregister_write(self, _: Client, __: Any, ___: Any) -> None:
        if self._watched >= 0:
            self._loop.remove_writer(self._watched)
