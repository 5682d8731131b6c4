"""Apache Kafka and mosquitto as `scripts/kafka` and `scripts/mqtt` run them: servers of one's own, to break at will."""

import os
import signal
import subprocess
from pathlib import Path

from streams.faults.process_state import ENDED, becomes
from wire.errors import ConnectionFailed

_SCRIPTS = Path(__file__).parents[2] / "scripts"
_SCRIPT_LIMIT_S = 240.0  # three nodes of Kafka on a busy machine take a minute
_GONE_WITHIN_S = 10.0


class Server:
    """A server by its script's name, `kafka` or `mqtt`, with its data in `folder`; raises `ConnectionFailed`."""

    def __init__(self, name: str, folder: Path, port: int, *options: str) -> None:
        self.name, self.folder, self.port = name, folder, port
        self._options = options

    @property
    def address(self) -> str:
        """Where clients find it, or its first node, as host:port."""
        return f"127.0.0.1:{self.port}"

    def up(self) -> None:
        """Start what does not run of it, and go on with the data that is there."""
        self._script("up", "--port", str(self.port), *self._options)

    def down(self) -> None:
        """Stop it in good order."""
        self._script("down")

    def kill(self) -> None:
        """`kill -9` of all of it."""
        for node in self.nodes():
            node.kill()

    def nodes(self) -> "list[Node]":
        """Its processes, as there were any."""
        return [Node(self, path) for path in sorted(self.folder.glob("**/pid"))]

    def _script(self, *arguments: str) -> None:
        command = [str(_SCRIPTS / self.name), *arguments, "--folder", str(self.folder)]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SCRIPT_LIMIT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConnectionFailed(f"{command[0]} {arguments[0]} failed: {error}") from error
        if done.returncode:
            raise ConnectionFailed(done.stderr.strip() or f"{command[0]} {arguments[0]} failed, see {self.folder}")


class Node:
    """One process of a server, whose number stands in the file `path`."""

    def __init__(self, server: Server, path: Path) -> None:
        self._server, self._path = server, path

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return int(self._path.read_text()) if self._path.exists() else None

    def start(self) -> None:
        """Start it again."""
        self._server.up()

    def kill(self, grace_s: float = 0.0) -> None:
        """`kill -9`, at once or when it has not ended in order within `grace_s`; returns when it is gone."""
        pid = self.pid
        if pid is None:
            return
        if grace_s:
            os.kill(pid, signal.SIGTERM)
        if not grace_s or not becomes(pid, ENDED, grace_s):
            os.kill(pid, signal.SIGKILL)
            becomes(pid, ENDED, _GONE_WITHIN_S)
