"""The state of a process as the kernel tells it: whether a fault stopped or ended it."""

import time
from collections.abc import Collection
from pathlib import Path

STOPPED = ("T",)
ENDED = ("", "Z")  # one that nobody buries is as good as gone
_LEAVING = "leaving"
_THREADS = 20 - 4  # proc(5) counts fields of stat from 1: the state is the third


def state_of(pid: int) -> str:
    """The kernel's letter for a process's state (R, S, T, Z, …); nothing when there is none.

    Of one that was killed the first thread is a zombie while others still leave, and hold its ports: it has not ended.
    """
    try:
        letter, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return _LEAVING if letter == "Z" and int(fields[_THREADS]) > 1 else letter


def becomes(pid: int, states: Collection[str], within_s: float) -> bool:
    """Wait until a process is in one of these states; whether that came in time."""
    end_s = time.monotonic() + within_s
    while (found := state_of(pid)) not in states and found and time.monotonic() < end_s:
        time.sleep(0.01)
    return found in states
