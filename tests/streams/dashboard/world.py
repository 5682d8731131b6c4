"""A dashboard as a process of its own, beside a Kafka to which a flow and devices speak."""

import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import IO

from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.topics import STATUS, TELEMETRY
from streams.ports import free_ports
from tests.streams.watch.statuses import frontier, pooled, status
from wire.status import encode_status
from wire.telemetry import Presence, encode_report

ROOT = Path(__file__).parents[3]


class Speaker:
    """A flow that says once a second how it is, until it is killed."""

    def __init__(self, bootstrap: str, devices: int = 0) -> None:
        self._producer = KafkaBus(KafkaSettings(bootstrap)).producer()
        ensure_topics(KafkaSettings(bootstrap), [STATUS, TELEMETRY])
        for number in range(devices):
            user = f"user-{number}"
            self._producer.send(TELEMETRY, user, encode_report(Presence(user, online=number % 10 > 0)))
        self.pooled = 0
        self.say()
        self._dead = threading.Event()
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()

    def say(self) -> None:
        now_s = time.time()
        self.pooled += 10
        at = (frontier("pooled", self.pooled, self.pooled + 3, now_s - 0.5),)
        said = status(at_s=now_s, values=pooled(self.pooled), frontiers=at)
        self._producer.send(STATUS, said.key, encode_status(said))
        self._producer.flush(10)

    def kill(self) -> None:
        self._dead.set()
        self._thread.join()

    def _speak(self) -> None:
        while not self._dead.wait(1):
            self.say()


class Dashboard:
    """A running `coda dashboard`."""

    def __init__(self, port: int, pid: int, said: str) -> None:
        self.port, self.pid, self.said = port, pid, said

    def get(self, path: str, **headers: str) -> tuple[int, str, http.client.HTTPMessage]:
        with self._asked(path, headers) as answer:
            return answer.status, answer.read().decode(), answer.headers

    def events(self, last: int | None = None) -> AbstractContextManager[IO[bytes]]:
        """The stream of frames, after that one."""
        return self._asked("/frames", {} if last is None else {"Last-Event-ID": str(last)})

    @contextmanager
    def _asked(self, path: str, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path, headers=headers)
            with connection.getresponse() as answer:
                yield answer


def dashboard(bootstrap: str, *flags: str) -> AbstractContextManager[Dashboard]:
    """That of a live system."""
    return serving("--bootstrap", bootstrap, *flags)


@contextmanager
def serving(*flags: str) -> Iterator[Dashboard]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "streams", "dashboard", "--port", str(port), *flags]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield Dashboard(port, process.pid, process.stderr.readline())
        finally:
            process.terminate()
            process.communicate(timeout=10)
