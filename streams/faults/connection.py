"""One connection through the fault proxy: two lanes of bytes, each read, delayed as its faults say, and written."""

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import Sequence
from typing import Protocol

from streams.faults.effect import Effect
from streams.faults.fate import Lane, ends_at
from streams.faults.toxics import Bandwidth, HalfOpen, Hold, Latency, LimitData, Loss, Slicer, SlowClose, Toxic, Unplug

CHUNK_BYTES = 64 << 10
_WAITING = 64  # chunks of a lane, 4 MB at most: then the sender has to wait, as for a full window
_NOW_S = 0.005  # what is written so soon after it was read was not delayed
_DELAYS = Latency | Bandwidth | Slicer | Loss

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Piece = tuple[bytes, float, float]  # bytes, when they were read, when they are due


class Fault(Protocol):
    """A fault in force, as a connection sees it."""

    toxic: Toxic
    effect: Effect
    applied_s: float


class Connection:
    """A client's stream and, once `connected`, the broker's; `faults` are those in force on it, in their order."""

    def __init__(self, client: Stream, rng: random.Random) -> None:
        self.device: str | None = None
        self.faults: list[Fault] = []
        self._client, self._rng = client, rng
        self._broker: Stream | None = None
        self._opened_s = time.monotonic()
        self._free = asyncio.Event()
        self._gone: list[Fault] = []  # the half-open that it never comes back from
        self._timers: list[asyncio.TimerHandle] = []
        self._pumps: list[asyncio.Task[None]] = []

    @property
    def passes(self) -> bool:
        """Whether bytes can get through, be it slowly."""
        return not self._gone and not any(isinstance(fault.toxic, Hold | Unplug) for fault in self.faults)

    @property
    def given_up(self) -> bool:
        """Whether the client has gone, and left nothing to read."""
        return self._client[0].at_eof()

    def connected(self, broker: Stream) -> None:
        """The broker's side stands, too."""
        self._broker = broker

    def rearm(self) -> None:
        """The faults have changed: set the timers that end the connection, and let go of what need not wait."""
        for timer in self._timers:
            timer.cancel()
        self._timers = []
        self._gone += [f for f in self.faults if isinstance(f.toxic, HalfOpen) and f not in self._gone]
        for fault in self.faults:
            end_s = ends_at(fault.toxic, self._opened_s, fault.applied_s, self._rng)
            if end_s is not None:
                loop = asyncio.get_running_loop()
                self._timers.append(loop.call_later(max(0.0, end_s - time.monotonic()), self._cut, fault))
        self._free.set()

    def reset(self) -> None:
        """RST to both sides, at once."""
        for _, writer in filter(None, (self._client, self._broker)):
            _reset(writer)
        for pump in self._pumps:
            pump.cancel()

    async def answer(self, packet: bytes) -> None:
        """Say this and close."""
        self._client[1].write(packet)
        await self._client[1].drain()
        self._client[1].close()

    async def run(self, hello: bytes) -> None:
        """Carry bytes both ways until both ends are through; `hello` was read already."""
        assert self._broker is not None, "the broker's side stands"
        (from_client, to_client), (from_broker, to_broker) = self._client, self._broker
        lanes = (("up", hello, from_client, to_broker), ("down", b"", from_broker, to_client))
        pumps = [asyncio.create_task(self._carry(*lane)) for lane in lanes]
        self._pumps = pumps
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for timer in self._timers:
                timer.cancel()
            for writer in (to_client, to_broker):
                writer.close()

    async def _carry(
        self, direction: str, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One lane: a reader that decides, and a writer that keeps to what was decided."""
        queue: asyncio.Queue[Piece | Fault | None] = asyncio.Queue(_WAITING)
        writing = asyncio.create_task(self._write(direction, queue, writer))
        lane = Lane(self._rng)
        try:
            chunk = first or await _read(reader)
            while chunk:
                await self._decide(direction, lane, chunk, queue)
                chunk = await _read(reader)
            await queue.put(None)
            await writing
        finally:
            writing.cancel()

    async def _decide(
        self, direction: str, lane: Lane, chunk: bytes, queue: "asyncio.Queue[Piece | Fault | None]"
    ) -> None:
        faults = self._on(direction)
        for fault in faults:
            fault.effect.chunks += 1
        if lost := self._lost_on(direction):
            lost.effect.blocked_bytes += len(chunk)
            return
        now_s, at = time.monotonic(), 0
        fate = lane.send(len(chunk), [fault.toxic for fault in faults], now_s)
        for piece in fate.slices:
            await queue.put((chunk[at : at + piece.nbytes], now_s, piece.due_s))
            at += piece.nbytes
        if fate.cut:
            await queue.put(next(fault for fault in faults if isinstance(fault.toxic, LimitData)))

    async def _write(
        self, direction: str, queue: "asyncio.Queue[Piece | Fault | None]", writer: asyncio.StreamWriter
    ) -> None:
        while (piece := await queue.get()) is not None:
            if not isinstance(piece, tuple):
                self._cut(piece)
                return
            chunk, read_s, due_s = piece
            faults = [fault for fault in self._on(direction) if isinstance(fault.toxic, _DELAYS)]
            await _sleep_until(due_s)
            await self._held(direction, len(chunk))
            if lost := self._lost_on(direction):
                lost.effect.blocked_bytes += len(chunk)
                continue
            writer.write(chunk)
            await writer.drain()
            _note_delay(faults, time.monotonic() - read_s)
        await self._close(direction, writer)

    async def _close(self, direction: str, writer: asyncio.StreamWriter) -> None:
        for fault in self._on(direction):
            if isinstance(fault.toxic, SlowClose):
                _note_delay([fault], fault.toxic.delay)
                await asyncio.sleep(fault.toxic.delay)
        await self._held(direction, 0)
        if not self._lost_on(direction) and writer.can_write_eof():
            writer.write_eof()

    async def _held(self, direction: str, nbytes: int) -> None:
        """Wait while a fault holds this lane; its bytes count as blocked."""
        blamed: set[int] = set()
        while held := [f for f in self._on(direction) if isinstance(f.toxic, Hold | Unplug)]:
            for fault in held:
                if id(fault) not in blamed:
                    blamed.add(id(fault))
                    fault.effect.blocked_bytes += nbytes
            self._free.clear()
            await self._free.wait()

    def _on(self, direction: str) -> Sequence[Fault]:
        return [fault for fault in self.faults if fault.toxic.acts_on(direction)]

    def _lost_on(self, direction: str) -> Fault | None:
        return next((fault for fault in self._gone if fault.toxic.acts_on(direction)), None)

    def _cut(self, fault: Fault) -> None:
        fault.effect.cut += 1
        self.reset()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """A chunk; nothing at the end, however it came: a link that is down hides a reset, too."""
    try:
        return await reader.read(CHUNK_BYTES)
    except ConnectionError:
        return b""


def _note_delay(faults: Sequence[Fault], waited_s: float) -> None:
    if waited_s > _NOW_S:
        for fault in faults:
            fault.effect.delayed += 1
            fault.effect.delayed_s += waited_s


async def _sleep_until(due_s: float) -> None:
    if (wait_s := due_s - time.monotonic()) > 0:
        await asyncio.sleep(wait_s)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
