"""The whole system as processes, for tests that kill its parts: real Kafka, real mosquitto, our verbs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from socket import socket

REPOSITORY = Path(__file__).parents[2]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(holds: Callable[[], bool], what: str, timeout_s: float, every_s: float = 0.5) -> None:
    """Wait for `holds`; after `timeout_s` fail saying what never came."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"after {timeout_s:.0f} s still waiting: {what}"
        time.sleep(every_s)


class Verb:
    """One `coda` verb as a process of its own, its output in `<name>.log`."""

    def __init__(self, name: str, arguments: list[str], folder: Path) -> None:
        self.name, self.arguments = name, arguments
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Verb":
        """Start the verb, as a group of its own so that `kill` takes its children too."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", *self.arguments],
                cwd=REPOSITORY,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        return self

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """`kill -9`, the whole group."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def stop(self, timeout_s: float = 60) -> int:
        """SIGINT, as Ctrl-C does; returns the exit code."""
        assert self._process is not None
        if self.alive:
            self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout_s)

    def finish(self, timeout_s: float) -> int:
        """Wait for the verb to end by itself; returns the exit code."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def said(self) -> str:
        """Everything the verb has printed, all starts together."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _signal(self, number: signal.Signals) -> None:
        if self.alive and self._process is not None:
            os.killpg(self._process.pid, number)


def script(*arguments: str, timeout_s: float = 300) -> str:
    """Run one of `scripts/`; its output, or a failure that shows it."""
    done = subprocess.run(
        [str(REPOSITORY / "scripts" / arguments[0]), *arguments[1:]],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}"
    return done.stdout
