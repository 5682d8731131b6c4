"""Several processes as one dataflow or fleet: start them, and when one dies, restart all from the last snapshot.

A Bytewax cluster cannot go on without one of its processes, nor take one back. On several hosts each has a supervisor
of its processes, which meets with the others (`streams.flow.meeting`).
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Protocol

import structlog

from streams.ports import free_ports
from streams.stop import Stop
from wire.errors import ConnectionFailed

# Restarting helps against crashes; what dies this soon after its start this often in a row is broken.
_RESTARTS, _SOON_S = 5, 60.0
_DRAIN_S = 60.0  # to finish what is on its way and take the last snapshot
_LAST_WORDS_S = 2.0  # for the others to say why, when one has failed
_LOOK_EVERY_S = 0.05
_PAUSE_S = 1.0
_USAGE = 2
NO_RESTART = 3  # how a process says that it failed in a way that no restart mends
AGAIN = 4  # how it says that all shall begin anew, for nothing that went wrong
LOST = 5  # how it says that another process is gone
# Bytewax ends without a word when the parts of a state do not fit together.
_OLD_COPY = (
    "; where none says why, one host may have an older copy of its --state: give it back the newest, or delete the "
    "--state of every host"
)
_ROOT = Path(__file__).parents[1]

_log = structlog.get_logger()
Children = list[subprocess.Popen[bytes]]


class Phase(Enum):
    """How a meeting is."""

    GATHERING = "somebody is missing"
    TOGETHER = "all are there"
    ENDING = "somebody was told to stop"
    APART = "somebody is gone"


class Meeting(Protocol):
    """What a supervisor asks of the others."""

    def look(self) -> Phase:
        """How it is by now; raises `InputError` when this host cannot take part."""

    def addresses(self) -> list[str]:
        """Where all processes of all hosts listen, once all are there."""

    def end(self) -> None:
        """This host was told to stop: all others end in good order, too."""

    def part(self) -> None:
        """Let go of the others, who notice, and gather anew."""


class OneMachine:
    """The meeting of a supervisor that is the only one; so many of its `processes` listen."""

    def __init__(self, processes: int) -> None:
        self._processes = processes

    def look(self) -> Phase:
        """All are there."""
        return Phase.TOGETHER

    def addresses(self) -> list[str]:
        """New ones each time, old ones may linger."""
        return [f"127.0.0.1:{port}" for port in free_ports(self._processes)]

    def end(self) -> None:
        """Nobody else is to be told."""

    def part(self) -> None:
        """Nobody else is there."""


def supervise(what: str, command: Sequence[str], numbers: range, meeting: Meeting, stop: Stop) -> int:
    """Run `command` as the processes of these `numbers` until `stop`; returns the exit code. `what` calls them all.

    Each gets its number and the addresses of all, those on other hosts too, as further arguments. Exit codes 2 and
    `NO_RESTART` say that no restart would help; the process has said why.
    Raises `ConnectionFailed` when processes keep dying, `InputError` when other hosts refuse this one.
    """
    in_a_row = 0
    with stop.listening():
        while _all_there(meeting, stop):
            started_s = time.monotonic()
            children = _start(command, numbers, meeting.addresses())
            try:
                ended = _wait(children, meeting, stop)
            finally:
                _end(what, children, meeting, stop)
                meeting.part()
            if stop.signal or ended in {0, _USAGE, NO_RESTART}:
                return stop.exit_code or (1 if ended == NO_RESTART else ended or 0)
            if ended is None:
                continue
            if ended == AGAIN:
                in_a_row = 0
                continue
            in_a_row = in_a_row + 1 if time.monotonic() - started_s < _SOON_S else 1
            if in_a_row > _RESTARTS:
                raise ConnectionFailed(
                    f"the {what} died {in_a_row} times in a row, each within {_SOON_S:.0f} s of its start "
                    f"(exit code {ended}): see the lines above{_OLD_COPY if ended == LOST else ''}"
                )
            _log.warning(f"a process of the {what} died, restarting all", exit_code=ended)
            time.sleep(_PAUSE_S)
    return stop.exit_code


def _all_there(meeting: Meeting, stop: Stop) -> bool:
    """Wait for the other hosts; False once told to stop."""
    while not stop.signal:
        phase = meeting.look()
        if phase is Phase.TOGETHER:
            return True
        if phase is not Phase.GATHERING:  # somebody left while others came
            meeting.part()
        time.sleep(_LOOK_EVERY_S)
    return False


def _start(command: Sequence[str], numbers: range, addresses: Sequence[str]) -> Children:
    # They inherit that Ctrl-C, which reaches all processes of a terminal, is blocked: we hear it, and tell them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return [subprocess.Popen([*command, str(number), *addresses], cwd=_ROOT) for number in numbers]
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _wait(children: Children, meeting: Meeting, stop: Stop) -> int | None:
    """Until one child fails (its exit code), all are done (0), or a signal or another host ends it (None)."""
    while not stop.signal and meeting.look() is Phase.TOGETHER:
        codes = [child.poll() for child in children]
        if any(codes):
            return _why(children, meeting)
        if None not in codes:
            return 0
        time.sleep(_LOOK_EVERY_S)
    return None


def _why(children: Children, meeting: Meeting) -> int | None:
    """The exit code that tells most: the first to end may only have missed the one that knows what is wrong.

    None when that one is on another host.
    """
    deadline_s = time.monotonic() + _LAST_WORDS_S
    while any(child.poll() is None for child in children) and time.monotonic() < deadline_s:
        time.sleep(_LOOK_EVERY_S)
    codes = [code for child in children if (code := child.poll())]
    telling = min(codes, key=lambda code: (code not in {NO_RESTART, _USAGE}, code == LOST))
    deadline_s += _LAST_WORDS_S  # as long as the supervisor of that one takes
    while telling == LOST and time.monotonic() < deadline_s:
        if meeting.look() is not Phase.TOGETHER:
            return None
        time.sleep(_LOOK_EVERY_S)
    return telling


def _end(what: str, children: Children, meeting: Meeting, stop: Stop) -> None:
    """When this or another host was told to stop, let them finish; after a failure each waits for the dead one."""
    try:
        if stop.signal:
            meeting.end()
        if stop.signal or meeting.look() is Phase.ENDING:
            for child in children:
                child.send_signal(signal.SIGTERM)
            deadline_s = time.monotonic() + _DRAIN_S
            while any(child.poll() is None for child in children) and time.monotonic() < deadline_s:
                meeting.look()
                time.sleep(_LOOK_EVERY_S)
            if left := sum(child.poll() is None for child in children):
                _log.warning(f"the {what} did not finish in time: its last snapshot counts", processes=left)
    finally:  # also when a second Ctrl-C ends the waiting
        for child in children:
            child.kill()
            child.wait()


def end_with(supervisor: int) -> None:
    """End this process cleanly when its supervisor is gone, even by kill -9."""

    def watch() -> None:
        while os.getppid() == supervisor:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
