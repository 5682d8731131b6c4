"""The whole system as processes, for tests that kill its parts: Apache Kafka, mosquitto and our commands."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from streams.faults import servers
from streams.ports import free_ports

REPOSITORY = Path(__file__).parents[2]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now, and that no client is given while its server is down."""
    (port,) = free_ports(1)
    return port


def wait_until(holds: Callable[[], bool], what: str, timeout_s: float, every_s: float = 0.5) -> None:
    """Wait for `holds`; after `timeout_s` fail saying what never came."""
    wait_for_nothing(lambda: "" if holds() else what, timeout_s, every_s)


def wait_for_nothing(missing: Callable[[], str], timeout_s: float, every_s: float = 0.5) -> None:
    """Wait until `missing` says "" ; after `timeout_s` fail with what it says."""
    deadline = time.monotonic() + timeout_s
    while what := missing():
        assert time.monotonic() < deadline, f"after {timeout_s:.0f} s still waiting: {what}"
        time.sleep(every_s)


class Server(servers.Server):
    """Kafka or mosquitto, with its data in a folder of its own."""

    def __init__(self, name: str, folder: Path, *options: str) -> None:
        super().__init__(name, folder / name, free_port(), *options)


class Command:
    """One `coda` command as a process of its own, its output in `<name>.log`."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self.name, self._arguments = name, arguments
        self._folder, self._log = folder, folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Command":
        """Start the command as a process group of its own, so that `kill` takes its children too."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", *self._arguments],
                cwd=self._folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
            )
        return self

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """`kill -9`, the whole group."""
        assert self.alive, f"{self.name} ended before it was killed:\n{self.said()[-2000:]}"
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def restart(self) -> None:
        """`kill -9` and start again."""
        self.kill()
        self.start()

    def stop(self, timeout_s: float = 60) -> int:
        """Ctrl-C; returns the exit code."""
        assert self._process is not None
        if self.alive:
            self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout_s)

    def finish(self, timeout_s: float) -> int:
        """Wait for the command to end by itself; returns the exit code."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def said(self) -> str:
        """Everything the command has printed, all starts together."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""
