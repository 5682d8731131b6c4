"""A connection between the supervisors of two hosts: messages as lines of JSON, and word when the other is gone."""

import socket
from contextlib import suppress

import msgspec

from streams.flow.uncounted import Progress
from wire.clock import Clock

BEAT_MS = 1_000
# A side that says nothing for so long is gone: its machine is off, its cable out. A process that dies is noticed at
# once. Shorter, and a machine that swaps or is paused for a moment would restart the dataflow on all hosts.
SILENT_MS = 10_000
_CHUNK = 65_536
_LONGEST = 1 << 20  # of a line: the longest, a hello, has some 2 kB


class Hello(msgspec.Struct, tag="hello", frozen=True, kw_only=True):
    """What a host comes with: what it was told, and what it has.

    `state` names the state on its disk, "" when there is none yet; `begun` says whether a dataflow has written to it,
    and `progress` how far that was.
    """

    hosts: str
    host: int
    settings: dict[str, str | int | float | bool]
    kafka: str
    state: str
    begun: bool
    progress: Progress


class Missing(msgspec.Struct, tag="missing", frozen=True):
    """Whom host 0 waits for."""

    hosts: list[int]


class Refused(msgspec.Struct, tag="refused", frozen=True):
    """Why a host cannot take part."""

    why: str


class Go(msgspec.Struct, tag="go", frozen=True):
    """All are there: begin, with the state of this name, at this epoch."""

    state: str
    epoch: int | None


class Beat(msgspec.Struct, tag="beat", frozen=True):
    """Still here."""


class End(msgspec.Struct, tag="end", frozen=True):
    """A host was told to stop: end in good order."""


Message = Hello | Missing | Refused | Go | Beat | End
_decoder = msgspec.json.Decoder(Message)


class LinkLost(Exception):
    """The other side is gone; why, in some words."""


class Link:
    """One side of a connection; never waits. Both sides beat once a second, from `look`."""

    def __init__(self, connection: socket.socket, clock: Clock) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection, self._clock = connection, clock
        self._line = b""
        self.heard_ms = self._beat_ms = clock.steady_ms()

    def send(self, message: Message) -> None:
        """Say something; raises `LinkLost`."""
        try:
            self._connection.sendall(msgspec.json.encode(message) + b"\n")
        except OSError as error:  # a full buffer, too: some kB that nobody takes
            raise LinkLost(error.strerror or str(error)) from error

    def look(self) -> list[Message]:
        """What has come; raises `LinkLost`."""
        now_ms = self._clock.steady_ms()
        if now_ms - self._beat_ms >= BEAT_MS:
            self._beat_ms = now_ms
            self.send(Beat())
        messages = self._read()
        if messages:
            self.heard_ms = now_ms
        elif now_ms - self.heard_ms > SILENT_MS:
            raise LinkLost(f"silent for {SILENT_MS // 1000} s")
        return [message for message in messages if not isinstance(message, Beat)]

    def close(self) -> None:
        """Let go: the other side notices."""
        with suppress(OSError):
            self._connection.close()

    def _read(self) -> list[Message]:
        try:
            chunk = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError as error:
            raise LinkLost(error.strerror or str(error)) from error
        if not chunk:
            raise LinkLost("it closed the connection")
        *lines, self._line = (self._line + chunk).split(b"\n")
        if len(self._line) > _LONGEST:
            raise LinkLost("it is no host of a dataflow")
        try:
            return [_decoder.decode(line) for line in lines]
        except (msgspec.DecodeError, RecursionError) as error:
            raise LinkLost("it is no host of a dataflow") from error
