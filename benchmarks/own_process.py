"""A measurement in a process of its own, and its memory. It asks for no package, as what runs elsewhere imports it."""

import ctypes
import gc
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any


class Growth:
    """By how much memory this process grows from now on; what it has freed goes back to the system first."""

    def __init__(self) -> None:
        _trim()
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now
        self._before = _status_bytes("VmRSS")

    @property
    def most_bytes(self) -> int:
        """At most, so far."""
        return _status_bytes("VmHWM") - self._before

    @property
    def bytes(self) -> int:
        """At this moment."""
        _trim()
        return _status_bytes("VmRSS") - self._before


def _trim() -> None:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def _status_bytes(name: str) -> int:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(status[name].split()[0])


def in_own_process(act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What it returns, from a process that ends with it; raises EOFError when that fails."""
    context = get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=lambda: send.send(act()))
    process.start()
    send.close()
    found: dict[str, Any] = receive.recv()
    process.join()
    return found
