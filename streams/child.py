"""A command as a process of its own that never outlives whoever started it.

`python -m streams.child COMMAND …` is `coda COMMAND …` with one difference: when the other end of its standard input
closes, it ends as if told to by SIGTERM. A demo that is killed leaves nothing running.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from streams.cli import PREFIX, main
from wire.errors import CodaError

ROOT = Path(__file__).parents[1]
# Done by itself, or ended by us (at the very start by the signal itself), or never started: all else is a failure.
CLEAN_CODES = frozenset({0, 128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGTERM, None})
_TAIL_LINES = 12


class ChildFailed(CodaError):
    """A child that ended though nobody told it to; `tail` is the end of its log."""

    def __init__(self, message: str, tail: str) -> None:
        super().__init__(message)
        self.tail = tail


class Child:
    """One `coda` command in a process of its own, its stdout in `<name>.out`, its stderr in `<name>.log`."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path) -> None:
        self.name = name
        self.out, self.log = folder / f"{name}.out", folder / f"{name}.log"
        self.command = [sys.executable, "-m", "streams.child", *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s, self._told = 0.0, False

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches it only through us and in our order."""
        # The settings of the demo's own environment are not the children's; these have theirs as flags.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        environment |= {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
        environment |= {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
        with self.out.open("wb") as out, self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self._started_s, self._told = time.monotonic(), False

    @property
    def pid(self) -> int | None:
        """Its process id; None before it was started."""
        return self._process.pid if self._process else None

    def code(self) -> int | None:
        """Its exit code; None while it runs or before it was started."""
        return self._process.poll() if self._process else None

    def check(self) -> None:
        """Raise `ChildFailed` when it has ended with anything but success, and was not told to."""
        if self.code() and not self._told:
            raise self.failure()

    def failure(self) -> ChildFailed:
        """What to say when it has ended and should not have."""
        lived = time.monotonic() - self._started_s
        return ChildFailed(
            f"{self.name} ended with exit code {self.code()} after {lived:.0f} s; its log is {self.log}", self.tail()
        )

    def tail(self) -> str:
        """The last lines of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-_TAIL_LINES:])

    def last_words(self) -> str:
        """The newest line of its log, as it would stand on a terminal."""
        lines = self.tail().replace("\r", "\n").splitlines()
        return lines[-1].strip() if lines else ""

    def kill(self, grace_s: float = 0.0) -> None:
        """`kill -9` with all that it started, at once or when it has not ended in order within `grace_s`.

        It counts as never started until it is started again.
        """
        if self._process is None:
            return
        process, self._process = self._process, None
        if grace_s:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin:
            process.stdin.close()

    def stop(self, timeout_s: float) -> int | None:
        """Tell it to end and return its exit code, None if never started; after `timeout_s` it is killed (-9)."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._told = True
            self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        return self._process.returncode


def _end_with_parent() -> None:
    # Returns nothing when the other end of the pipe closes; `sys.stdin` would hold a lock that the end waits for.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _child() -> NoReturn:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main()


if __name__ == "__main__":
    _child()
