"""How exactly the system wakes a thread that sleeps.

Bytewax's main thread wakes every millisecond to look for signals: 2 % of a core, and the interpreter's lock a thousand
times a second. It may wake late; but threads that it starts inherit that, and a worker has to be on time.
"""

import ctypes
import sys

_PR_SET_TIMERSLACK = 29
_EXACT_NS, _DROWSY_NS = 50_000, 100_000_000  # Linux's default; how much later a signal may be heard


def be_drowsy() -> None:
    """Let the calling thread, and those that it starts from now on, be woken late; where there is no Linux, nothing."""
    _set_slack(_DROWSY_NS)


def be_exact() -> None:
    """Let the calling thread be woken on time again."""
    _set_slack(_EXACT_NS)


def _set_slack(ns: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(ns), 0, 0, 0)
