"""Several processes as one dataflow: start them, and when one dies, restart all of them from the last snapshot.

A Bytewax cluster cannot go on without one of its processes, nor take one back.
"""

import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

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
AGAIN = 4  # how it says that all ended in good order, to begin anew
_ROOT = Path(__file__).parents[2]

_log = structlog.get_logger()
Children = list[subprocess.Popen[bytes]]


def supervise(command: Sequence[str], processes: int, stop: Stop) -> int:
    """Run `command` as so many processes until `stop`; returns the exit code.

    Each gets its number and the addresses of all as further arguments. Exit codes 2 and `NO_RESTART` say that no
    restart would help; the process has said why.
    Raises `ConnectionFailed` when processes keep dying.
    """
    in_a_row = 0
    with stop.listening():
        while True:
            started_s = time.monotonic()
            children = _start(command, processes)
            try:
                ended = _wait(children, stop)
            finally:
                _end(children, stop)
            if stop.signal or ended in {0, _USAGE, NO_RESTART}:
                return stop.exit_code or (1 if ended == NO_RESTART else ended)
            if ended == AGAIN:
                in_a_row = 0
                continue
            in_a_row = in_a_row + 1 if time.monotonic() - started_s < _SOON_S else 1
            if in_a_row > _RESTARTS:
                raise ConnectionFailed(
                    f"the dataflow died {in_a_row} times in a row, each within {_SOON_S:.0f} s of its start "
                    f"(exit code {ended}): see the lines above"
                )
            _log.warning("a process of the dataflow died, restarting all", exit_code=ended)
            time.sleep(_PAUSE_S)


def _start(command: Sequence[str], processes: int) -> Children:
    # For the processes to talk to each other; new ones each time, old ones may linger.
    addresses = [f"127.0.0.1:{port}" for port in free_ports(processes)]
    # They inherit that Ctrl-C, which reaches all processes of a terminal, is blocked: we hear it, and tell them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return [subprocess.Popen([*command, str(number), *addresses], cwd=_ROOT) for number in range(processes)]
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _wait(children: Children, stop: Stop) -> int:
    """Until a signal comes, one child fails (its exit code), or all are done (0, or `AGAIN` if one says so)."""
    while not stop.signal:
        codes = [child.poll() for child in children]
        if any(codes):
            return _why(children)
        if None not in codes:
            return 0
        time.sleep(_LOOK_EVERY_S)
    return 0


def _why(children: Children) -> int:
    """The exit code that tells most: the first to end may only have missed the one that knows what is wrong."""
    deadline_s = time.monotonic() + _LAST_WORDS_S
    while any(child.poll() is None for child in children) and time.monotonic() < deadline_s:
        time.sleep(_LOOK_EVERY_S)
    codes = [code for child in children if (code := child.poll())]
    return next((code for code in codes if code in {NO_RESTART, _USAGE}), codes[0])


def _end(children: Children, stop: Stop) -> None:
    """After a signal, let them finish; after a failure they cannot, since each waits for the dead one."""
    try:
        if stop.signal:
            for child in children:
                child.send_signal(signal.SIGTERM)
            deadline_s = time.monotonic() + _DRAIN_S
            while any(child.poll() is None for child in children) and time.monotonic() < deadline_s:
                time.sleep(_LOOK_EVERY_S)
            if left := sum(child.poll() is None for child in children):
                _log.warning("the dataflow did not finish in time: its last snapshot counts", processes=left)
    finally:  # also when a second Ctrl-C ends the waiting
        for child in children:
            child.kill()
            child.wait()
