"""The state of a process as the kernel tells it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from streams.faults.process_state import ENDED, STOPPED, becomes, state_of

# The first thread ends and leaves a zombie; the other sleeps on, and keeps the port.
LEADERLESS = """
import ctypes, socket, threading, time
listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=time.sleep, args=(60,)).start()
print(listener.getsockname()[1], flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.fixture
def leaderless() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", LEADERLESS], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_process_has_not_ended_before_its_last_thread_has(leaderless: subprocess.Popen[str]) -> None:
    assert leaderless.stdout is not None
    port = int(leaderless.stdout.readline())
    assert not becomes(leaderless.pid, ENDED, 0.3)
    with socket.create_connection(("127.0.0.1", port)):
        pass
    os.kill(leaderless.pid, signal.SIGKILL)
    assert becomes(leaderless.pid, ENDED, 10)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_one_that_is_stopped_is_stopped_and_one_that_is_gone_has_ended() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        os.kill(process.pid, signal.SIGSTOP)
        assert becomes(process.pid, STOPPED, 10)
        process.kill()
        assert becomes(process.pid, ENDED, 10)
    assert state_of(process.pid) == "" and becomes(process.pid, ENDED, 0)
