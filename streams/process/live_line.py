"""The line of state at the bottom of a terminal, written anew again and again; elsewhere a line now and then."""

import shutil
from typing import TextIO

import structlog

EVERY_MS = 10_000
_CLEAR = "\r\x1b[2K"

_log = structlog.get_logger()


def clear_line(out: TextIO) -> None:
    """Make room for another line where the live line stands, if it is a terminal."""
    if out.isatty():
        out.write(_CLEAR)


class LiveLine:
    """One line on `out`; `now_ms` is a clock that nobody sets."""

    def __init__(self, out: TextIO, now_ms: int) -> None:
        self._out, self._due_ms = out, now_ms + EVERY_MS

    def show(self, line: str, now_ms: int) -> None:
        """The newest state: cut to the terminal's width, or a log line if the last one is ten seconds old."""
        if self._out.isatty():
            width = shutil.get_terminal_size().columns - 1
            self._out.write(_CLEAR + (line if len(line) <= width else f"{line[: width - 1]}…"))
            self._out.flush()
        elif now_ms >= self._due_ms:
            self._due_ms = now_ms + EVERY_MS
            _log.info(line)
