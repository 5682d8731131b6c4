"""A network namespace with a cable that can be pulled: what runs in it has a real network stack to itself."""

import ctypes
import select
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


class Namespace:
    """Reached from here over a pair of virtual interfaces, `outside` (our address) and `inside` (its own).

    Skips the test, with the reason, where namespaces are not allowed.
    """

    def __init__(self, number: int) -> None:
        self.name, self._near, self._far = f"coda-{number}", f"coda{number}n", f"coda{number}f"
        net = f"10.213.{number % 250}"
        self.outside, self.inside = f"{net}.1", f"{net}.2"

    def __enter__(self) -> Self:
        if shutil.which("ip") is None:
            pytest.skip("there is no `ip` (apt-get install iproute2)")
        try:
            _run("ip", "netns", "add", self.name)
        except OSError as error:
            pytest.skip(f"network namespaces are not allowed here: {error}")
        try:
            self._wire()
        except OSError as error:
            self.__exit__()
            pytest.skip(f"virtual interfaces are not allowed here: {error}")
        return self

    def __exit__(self, *error: object) -> None:
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)  # its cable goes with it

    def _wire(self) -> None:
        _run("ip", "link", "add", self._near, "type", "veth", "peer", "name", self._far, "netns", self.name)
        _run("ip", "address", "add", f"{self.outside}/30", "dev", self._near)
        _run("ip", "link", "set", self._near, "up")
        inside = ("ip", "-n", self.name)
        _run(*inside, "address", "add", f"{self.inside}/30", "dev", self._far)
        _run(*inside, "link", "set", self._far, "up")
        _run(*inside, "link", "set", "lo", "up")

    def pull(self) -> None:
        """The cable is out: nothing arrives any more, and nobody is told."""
        _run("ip", "link", "set", self._near, "down")

    def plug(self) -> None:
        """The cable is in again."""
        _run("ip", "link", "set", self._near, "up")

    @contextmanager
    def forwarded(self, port: int) -> Iterator[None]:
        """What listens on this port of our 127.0.0.1 listens on that of the namespace, too: a network of its own."""
        with self._listen(port) as listener:
            threading.Thread(target=_forward, args=(listener, port), daemon=True).start()
            yield
            listener.shutdown(socket.SHUT_RDWR)

    def _listen(self, port: int) -> socket.socket:
        """A socket stays in the namespace that its thread was in when it was made."""
        libc, here = ctypes.CDLL(None, use_errno=True), Path("/proc/thread-self/ns/net")
        with here.open() as ours, Path("/run/netns", self.name).open() as theirs:
            if libc.setns(theirs.fileno(), 0):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                return socket.create_server(("127.0.0.1", port))
            finally:
                libc.setns(ours.fileno(), 0)

    def start(self, command: Sequence[str], **settings: Any) -> "subprocess.Popen[str]":
        """A process whose network this is."""
        return subprocess.Popen(["ip", "netns", "exec", self.name, *command], text=True, **settings)


def _forward(listener: socket.socket, port: int) -> None:
    with suppress(OSError):
        while True:
            inside, _ = listener.accept()
            outside = socket.create_connection(("127.0.0.1", port))
            threading.Thread(target=_carry, args=(inside, outside), daemon=True).start()


def _carry(one: socket.socket, other: socket.socket) -> None:
    with one, other, suppress(OSError):
        while True:
            for source in select.select([one, other], [], [])[0]:
                if not (chunk := source.recv(65_536)):
                    return
                (other if source is one else one).sendall(chunk)
