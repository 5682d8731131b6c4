"""The pulse of a process: each second its status to Kafka, and its state to whoever sits before it (live).

On a terminal the state is one line that is written anew each second, elsewhere a line every ten seconds; at the end,
however it ends, one says what was done. A Kafka that is away, or refuses, costs the status alone.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TextIO

import structlog

from monitor.metrics import Metrics
from monitor.seldom import Seldom
from streams.bus import Bus, Producer
from streams.kafka.topics import STATUS
from streams.process.changes import Changes
from streams.process.live_line import LiveLine
from streams.process.lookout import Lookout
from streams.process.own_status import Identity
from streams.process.recent import recent_warnings
from streams.process.state_line import state_line, summary_line
from streams.watch.fold import Fold
from wire.clock import Clock
from wire.errors import ConnectionFailed, DeliveryError
from wire.status import Frontier, Role, Status, encode_status

EVERY_S = 1.0
_GIVE_UP_S = 5.0  # then a newer status is worth more
_JOIN_S = 3.0  # a look at a Kafka that is away takes up to 15 s

_log = structlog.get_logger()


class Pulse:
    """Beats while the context is open, in a thread of its own, which asks `lookouts` and `frontiers` how far we are.

    `shows` is False where the command has a view of its own. `name` tells processes of one role apart, and is the same
    after a restart.
    """

    def __init__(
        self,
        role: Role,
        name: str,
        bus: Bus,
        clock: Clock,
        metrics: Metrics,
        *,
        lookouts: Sequence[Lookout] = (),
        frontiers: Callable[[], Sequence[Frontier]] = tuple,
        shows: bool = True,
        out: TextIO | None = None,
    ) -> None:
        self._me = Identity(role, name, clock.wall_ms())
        self._bus, self._clock, self._metrics = bus, clock, metrics
        self._lookouts, self._frontiers = lookouts, frontiers
        self._shows, self._line = shows, LiveLine(out or sys.stderr, clock.steady_ms())
        self._changes = Changes()
        self._producer: Producer | None = None
        self._known: dict[Lookout, list[Frontier]] = {}
        self._hears = True  # whether Kafka answered when it was asked last
        self._fold, self._sequence = Fold(), 0
        self._seldom = Seldom()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def beat(self) -> Status:
        """Look, and say what there is to say."""
        self._look()
        status = self._status()
        self._publish(status)
        return status

    @contextmanager
    def hushed(self) -> Iterator[None]:
        """Leave the terminal to somebody else while the block runs."""
        shows, self._shows = self._shows, False
        try:
            yield
        finally:
            self._shows = shows

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_JOIN_S)
        if not self._thread.is_alive() and self._hears:  # else Kafka is away, and whoever asks it waits
            self._look()
        status = self._status(ended=True)
        self._publish(status, within_s=_JOIN_S if self._hears else 0)
        if not self._thread.is_alive():
            for lookout in self._lookouts:
                lookout.close()
        did = summary_line(self._me.role, self._fold.picture(status.said_ms))
        if self._shows and (error is None or self._sequence > 1):  # who fails at once has one thing to say
            _log.info(f"{status.key} {did or 'ended: nothing came'}")

    def _look(self) -> None:
        """Ask Kafka how far we are."""
        for lookout in self._lookouts:
            try:
                self._hears = False  # until it has answered
                self._known[lookout] = lookout.look()
                self._hears = True
            except ConnectionFailed as error:
                self._seldom.warning(f"how far we are can't be told: {error}")
                return

    def _status(self, *, ended: bool = False) -> Status:
        """What there is to say."""
        frontiers = [*(each for known in self._known.values() for each in known), *self._frontiers()]
        self._sequence += 1
        status = self._me.status(
            self._sequence,
            self._clock.wall_ms(),
            self._metrics,
            frontiers=tuple(frontiers),
            cpu_s=time.process_time(),
            ended=ended,
            warnings=recent_warnings(),
        )
        self._fold.take(status, status.said_ms)
        return status

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                self.show(self.beat())
            except Exception as error:  # a status that is missing is no reason to stop, nor to be silent
                self._seldom.warning(f"the status can't be told: {type(error).__name__}: {error}")

    def _publish(self, status: Status, within_s: float = 0) -> None:
        """Hand the status over, and wait so long for Kafka to take it."""
        try:
            if self._producer is None:
                self._producer = self._bus.producer(give_up_s=_GIVE_UP_S, stopping=self._stop.is_set)
            self._producer.send(STATUS, status.key, encode_status(status))
            if within_s:
                self._producer.settled(within_s)
        except (ConnectionFailed, DeliveryError) as error:
            self._producer = None
            self._seldom.warning(f"the status does not reach Kafka: {error}")

    def show(self, status: Status) -> None:
        """Show how we are, and say it for good when a stage falls ill or is well again."""
        picture = self._fold.picture(status.said_ms)
        for change in self._changes.of(picture):
            _log.info(change.words, about=change.about)
        if self._shows:
            self._line.show(f"{status.key} {state_line(self._me.role, picture)}", self._clock.steady_ms())
