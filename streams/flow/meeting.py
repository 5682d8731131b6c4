"""Where the supervisors of all hosts meet: they begin together, and when one is gone or told to stop all others know.

Bytewax by itself waits without end for a process that is not there, and for one whose machine is off until TCP gives
up, a quarter of an hour later. Host 0 listens, the others come to it. A connection that ends, or over which nothing
comes for ten seconds, says that a host is gone: all end their processes and meet again.
"""

import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

import structlog

from streams.flow.agreement import disagreement, state_trouble
from streams.flow.hosts import Address, Hosts
from streams.flow.link import BEAT_MS, End, Go, Hello, Link, LinkLost, Message, Missing, Refused
from streams.flow.uncounted import resume_epoch
from streams.supervisor import Phase
from wire.clock import Clock
from wire.errors import ConnectionFailed, InputError
from wire.lookup import addresses

_SAY_EVERY_MS = 10_000
_CONNECT_S = 1.0
_CONNECT_EVERY_MS = 500

_log = structlog.get_logger()

Settle = Callable[[str, int | None], None]  # notes what the state is called, and at which epoch it goes on


class _Wait:
    """Says whom it waits for: at once, and every ten seconds."""

    def __init__(self, hosts: Hosts, clock: Clock) -> None:
        self._hosts, self._clock = hosts, clock
        self._since_ms = self._said_ms = clock.steady_ms()
        self._said = ""

    def begin(self) -> None:
        self._since_ms, self._said = self._clock.steady_ms(), ""

    def go_on(self, missing: Iterable[int], why: str = "") -> None:
        now_ms = self._clock.steady_ms()
        names = " and ".join(f"host {number} at {self._hosts.addresses[number]}" for number in missing)
        if names != self._said or now_ms - self._said_ms >= _SAY_EVERY_MS:
            self._said, self._said_ms = names, now_ms
            _log.info(f"waiting for {names}, {(now_ms - self._since_ms) // 1000} s" + (f" ({why})" if why else ""))


class _Newcomer(NamedTuple):
    link: Link
    since_ms: int
    hello: Hello | None = None


class _Side:
    """What both sides have: the hosts, what this one says, and whom it waits for."""

    def __init__(self, hosts: Hosts, hello: Callable[[], Hello], clock: Clock, settle: Settle) -> None:
        self._hosts, self._hello, self._clock, self._settle = hosts, hello, clock, settle
        self._phase, self._wait = Phase.GATHERING, _Wait(hosts, clock)

    def addresses(self) -> list[str]:
        """Where all processes listen."""
        return [str(address) for address in self._hosts.workers_at]


class Chair(_Side):
    """Host 0's side of the meeting.

    `hello` says what it would say itself by now; `settle` notes on this disk what the state is called, which is `fresh`
    where no host has one, and at which epoch it goes on.
    """

    def __init__(
        self,
        hosts: Hosts,
        hello: Callable[[], Hello],
        clock: Clock,
        settle: Settle,
        fresh: str,
    ) -> None:
        super().__init__(hosts, hello, clock, settle)
        self._fresh, self._told_ms = fresh, 0
        self._listener = listen(hosts.addresses[0])
        self._newcomers: list[_Newcomer] = []
        self._others: dict[int, tuple[Link, Hello]] = {}

    def look(self) -> Phase:
        """Hear everybody; raises `InputError` when the states on the hosts' disks do not belong together."""
        self._accept()
        self._newcomers = [heard for each in self._newcomers if (heard := self._hear_newcomer(each))]
        for number in list(self._others):
            self._hear(number)
        if self._phase is Phase.GATHERING:
            self._gather()
        return self._phase

    def end(self) -> None:
        """Tell all."""
        self._phase = Phase.ENDING
        self._tell(End())

    def part(self) -> None:
        """Let go of all; newcomers may stay."""
        for link, _ in self._others.values():
            link.close()
        self._others.clear()
        self._phase = Phase.GATHERING
        self._wait.begin()

    def close(self) -> None:
        """Let go of all, for good."""
        self.part()
        for newcomer in self._newcomers:
            newcomer.link.close()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                connection, _ = self._listener.accept()
                self._newcomers.append(_Newcomer(Link(connection, self._clock), self._clock.steady_ms()))

    def _hear_newcomer(self, newcomer: _Newcomer) -> _Newcomer | None:
        """The newcomer as it is by now, or None once it has its place or is turned away."""
        try:
            for message in newcomer.link.look():
                newcomer = newcomer._replace(hello=message) if isinstance(message, Hello) else newcomer
            if newcomer.hello is None or not self._answer(newcomer, newcomer.hello):
                return newcomer
        except LinkLost:
            newcomer.link.close()
        return None

    def _answer(self, newcomer: _Newcomer, hello: Hello) -> bool:
        """Take it in or refuse it; False while it is too early to say."""
        why = disagreement(self._hello(), hello)
        if not why and hello.host in self._others:
            # Whether the one that is there is gone, its machine's power cut, shows within seconds.
            if self._others[hello.host][0].heard_ms <= newcomer.since_ms:
                return False
            why = f"host {hello.host} is there already: give each host a --host of its own"
        if why:
            _log.warning(f"refused host {hello.host}: {why}")
            newcomer.link.send(Refused(why))
            newcomer.link.close()
            return True
        if self._phase is Phase.GATHERING:
            self._others[hello.host] = newcomer.link, hello
            return True
        return False

    def _hear(self, number: int) -> None:
        link, _ = self._others[number]
        try:
            if any(isinstance(message, End) for message in link.look()) and self._phase is Phase.TOGETHER:
                self.end()
        except LinkLost as lost:
            self._lose(number, lost)

    def _lose(self, number: int, lost: LinkLost) -> None:
        self._others.pop(number)[0].close()
        if self._phase is Phase.TOGETHER:
            self._phase = Phase.APART
            _log.warning(f"host {number} at {self._hosts.addresses[number]} is gone ({lost})")

    def _gather(self) -> None:
        missing = [number for number in range(1, len(self._hosts.addresses)) if number not in self._others]
        if not missing:
            self._begin()
            return
        self._wait.go_on(missing)
        if self._clock.steady_ms() - self._told_ms >= BEAT_MS:
            self._told_ms = self._clock.steady_ms()
            self._tell(Missing(missing))

    def _begin(self) -> None:
        hellos = [self._hello(), *(hello for _, hello in self._others.values())]
        if trouble := state_trouble(hellos):
            self._tell(Refused(trouble))
            raise InputError(trouble)
        names = {hello.state for hello in hellos}
        state = names.pop() if len(names) == 1 and "" not in names else self._fresh
        go = Go(state, resume_epoch(hello.progress for hello in hellos))
        self._settle(go.state, go.epoch)
        self._phase = Phase.TOGETHER
        self._tell(go)

    def _tell(self, message: Message) -> None:
        for number, (link, _) in list(self._others.items()):
            try:
                link.send(message)
            except LinkLost as lost:
                self._lose(number, lost)


class Member(_Side):
    """The side of every other host."""

    def __init__(self, hosts: Hosts, hello: Callable[[], Hello], clock: Clock, settle: Settle) -> None:
        super().__init__(hosts, hello, clock, settle)
        self._link: Link | None = None
        self._tried_ms = clock.steady_ms() - _CONNECT_EVERY_MS

    def look(self) -> Phase:
        """Hear host 0, or look for it; raises `InputError` when it refuses this host."""
        if self._phase is Phase.GATHERING and self._link is None:
            self._connect()
        if self._link is not None:
            try:
                for message in self._link.look():
                    self._take(message)
            except LinkLost as lost:
                self._lose(lost)
        return self._phase

    def end(self) -> None:
        """Tell host 0, which tells all."""
        self._phase = Phase.ENDING
        if self._link is not None:
            with suppress(LinkLost):
                self._link.send(End())

    def part(self) -> None:
        """Let go of host 0."""
        if self._link is not None:
            self._link.close()
        self._link, self._phase = None, Phase.GATHERING
        self._wait.begin()

    def close(self) -> None:
        """Let go of host 0, for good."""
        self.part()

    def _connect(self) -> None:
        now_ms = self._clock.steady_ms()
        if now_ms - self._tried_ms < _CONNECT_EVERY_MS:
            return
        self._tried_ms = now_ms
        name, port = self._hosts.addresses[0]
        try:
            self._link = Link(socket.create_connection((addresses(name)[0], port), _CONNECT_S), self._clock)
            self._link.send(self._hello())
        except (OSError, UnicodeError) as error:
            self._wait.go_on([0], getattr(error, "strerror", None) or str(error))
        except LinkLost as lost:
            self._lose(lost)

    def _take(self, message: Message) -> None:
        if isinstance(message, Refused):
            raise InputError(f"host 0 at {self._hosts.addresses[0]} says: {message.why}")
        if isinstance(message, Missing):
            self._wait.go_on(number for number in message.hosts if number < len(self._hosts.addresses))
        elif isinstance(message, Go):
            self._settle(message.state, message.epoch)
            self._phase = Phase.TOGETHER
        elif isinstance(message, End):
            self._phase = Phase.ENDING

    def _lose(self, lost: LinkLost) -> None:
        if self._link is not None:
            self._link.close()
        self._link = None
        if self._phase is Phase.GATHERING:
            self._wait.go_on([0], str(lost))
        elif self._phase is Phase.TOGETHER:
            self._phase = Phase.APART
            _log.warning(f"host 0 at {self._hosts.addresses[0]} is gone ({lost})")


def listen(address: Address) -> socket.socket:
    """A socket that listens at one of this host's own addresses; raises `ConnectionFailed`."""
    try:
        place = addresses(address.name)[0]
        family = socket.AF_INET6 if ":" in place else socket.AF_INET
        listener = socket.create_server((place, address.port), family=family)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConnectionFailed(
            f"cannot listen at {address} ({why}): --host says which of --hosts this machine is, and the ports from its "
            "own on must be free"
        ) from error
    listener.setblocking(False)
    return listener
