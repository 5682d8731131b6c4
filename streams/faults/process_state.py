"""The state of a process as the kernel tells it: whether a fault stopped or ended it."""

import time
from collections.abc import Collection
from pathlib import Path

STOPPED = ("T",)
ENDED = ("", "Z")  # one that nobody buries is as good as gone


def state_of(pid: int) -> str:
    """The kernel's letter for a process's state (R, S, T, Z, …); nothing when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def becomes(pid: int, states: Collection[str], within_s: float) -> bool:
    """Wait until a process is in one of these states; whether that came in time."""
    end_s = time.monotonic() + within_s
    while (found := state_of(pid)) not in states and found and time.monotonic() < end_s:
        time.sleep(0.01)
    return found in states
