"""A TCP proxy that breaks connections on purpose: it stands between clients and a broker, on a port of its own.

It runs its asyncio loop in a thread; `inject`, `lift` and `close` are for everyone else. A connection's device is read
from its MQTT CONNECT, so that a fault acts on the same devices after each reconnect. Bytes of one direction are never
reordered nor lost in the middle: a stream with a hole would be a fault that no network makes.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from streams.faults.connection import Connection
from streams.faults.effect import Effect
from streams.faults.toxics import Down, HalfOpen, Refuse, Toxic, Unplug
from streams.faults.whose import CONNECT_BYTES, Devices, device_in_connect, packet_length
from wire.errors import ConnectionFailed

T = TypeVar("T")
_HELLO_S = 10.0  # for a client to say who it is


@dataclass(eq=False)
class Injection:
    """A fault in force, on these devices' connections or, with `devices` None, on all; and what it did so far."""

    toxic: Toxic
    devices: Devices | None = None
    effect: Effect = field(default_factory=Effect)
    applied_s: float = 0.0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def concerns(self, connection: Connection) -> bool:
        """Whether it is about this connection."""
        return self.devices is None or connection.device in self.devices


class FaultProxy:
    """Listens on 127.0.0.1, where `port` 0 takes a free one, and passes on to `upstream` while the context is open."""

    def __init__(self, upstream: tuple[str, int], seed: int = 0, port: int = 0) -> None:
        self._upstream, self._rng, self.port = upstream, random.Random(seed), port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._injections: list[Injection] = []

    @property
    def address(self) -> str:
        """Where clients find it, as host:port."""
        return f"127.0.0.1:{self.port}"

    def inject(self, injection: Injection) -> None:
        """Put a fault in force, also for connections that stand."""
        self._call(lambda: self._inject(injection))

    def lift(self, injection: Injection) -> None:
        """End a fault; what only waited passes now."""
        self._call(lambda: self._lift(injection))

    def devices(self) -> frozenset[str]:
        """Those that have a connection now over which something can pass."""
        return self._call(lambda: frozenset(c.device for c in self._connections if c.device and c.passes))

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._await(self._listen())
        except OSError as error:
            self._end()
            raise ConnectionFailed(f"the fault proxy cannot listen on {self.address}: {error.strerror}") from error
        return self

    def __exit__(self, *error: object) -> None:
        self._await(self._close())
        self._end()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _inject(self, injection: Injection) -> None:
        injection.applied_s = time.monotonic()
        self._injections.append(injection)
        for connection in list(self._connections):
            if injection.concerns(connection):
                injection.effect.there += 1
                self._begin(injection, connection)

    def _begin(self, injection: Injection, connection: Connection) -> None:
        """A fault and a connection meet, whichever came first."""
        connection.faults.append(injection)
        connection.rearm()
        if isinstance(injection.toxic, Down | Refuse):
            injection.effect.cut += 1
            connection.reset()

    def _lift(self, injection: Injection) -> None:
        self._injections.remove(injection)
        injection.over.set()
        for connection in list(self._connections):
            if injection in connection.faults:
                connection.faults.remove(injection)
                connection.rearm()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection((reader, writer), random.Random(self._rng.random()))
        try:
            hello = await asyncio.wait_for(_hello(reader), _HELLO_S)
            connection.device = device_in_connect(hello)
            await self._pass_on(connection, hello)
        except (OSError, EOFError, asyncio.CancelledError):
            connection.reset()
        finally:
            self._connections.discard(connection)

    async def _pass_on(self, connection: Connection, hello: bytes) -> None:
        while injection := self._in_the_way(connection):
            injection.effect.there += 1
            if not isinstance(injection.toxic, Unplug):
                injection.effect.refused += 1
                await _turn_away(connection, injection.toxic)
                return
            injection.effect.blocked_bytes += len(hello)
            await injection.over.wait()  # TCP asks again until somebody hears it
            if connection.given_up:
                raise EOFError
        upstream = await asyncio.open_connection(*self._upstream)
        connection.connected(upstream)
        self._connections.add(connection)
        for injection in [i for i in self._injections if i.concerns(connection)]:
            if not isinstance(injection.toxic, HalfOpen):  # of those that stood when it came
                injection.effect.there += 1
                self._begin(injection, connection)
        await connection.run(hello)

    def _in_the_way(self, connection: Connection) -> Injection | None:
        """What keeps a new connection from being made, if anything does."""
        concerning = (injection for injection in self._injections if injection.concerns(connection))
        return next((one for one in concerning if isinstance(one.toxic, Down | Refuse | Unplug)), None)

    def _call(self, function: Callable[[], T]) -> T:
        async def on_loop() -> T:
            return function()

        return self._await(on_loop())

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)


async def _hello(reader: asyncio.StreamReader) -> bytes:
    """The first packet, or as much of something else as came at once."""
    raw = b""
    while not raw or (raw[0] == 0x10 and (packet_length(raw) or len(raw) + 1) > len(raw) and len(raw) < CONNECT_BYTES):
        chunk = await reader.read(CONNECT_BYTES)
        if not chunk:
            raise EOFError
        raw += chunk
    return raw


async def _turn_away(connection: Connection, toxic: Toxic) -> None:
    if isinstance(toxic, Refuse):
        await connection.answer(bytes([0x20, 3, 0, toxic.code, 0]))
    else:
        connection.reset()
