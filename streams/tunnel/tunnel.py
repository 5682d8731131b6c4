"""The tunnel between Kafka and MQTT: the way up and the way down, each in a thread of its own."""

import secrets
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from streams.kafka.connection import KafkaSettings
from streams.mqtt.connection import MqttSettings
from streams.tunnel.downlink import Downlink
from streams.tunnel.uplink import Uplink
from wire.claim import Claim

log = structlog.get_logger(__name__)

EXPIRY_MS = 600_000  # the task's `candidate_age_ms`: a batch older than that is not trained on
DRAIN_S = 5.0  # ours: devices on a slow link answer a push within seconds


class Tunnel:
    """Carries messages while the context is open; leaving it drains what is on its way.

    `name` tells this tunnel from others on the same brokers; they share the load. Models and tasks that
    the key of `public` did not sign are not passed on (None: whoever signed them). Raises `ConnectionFailed`
    when a broker cannot be reached at the start. Later outages are waited for.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        mqtt: MqttSettings,
        *,
        name: str = "tunnel",
        expiry_ms: int = EXPIRY_MS,
        drain_s: float = DRAIN_S,
        public: Ed25519PublicKey | None = None,
    ) -> None:
        claim = Claim(name, secrets.token_hex(4), time.time_ns() // 1_000_000)
        self._down, self._up = Downlink(kafka, mqtt, claim, expiry_ms, public), Uplink(kafka, mqtt, name)
        self._drain_s = drain_s
        self._down_ends, self._up_ends = threading.Event(), threading.Event()
        self._failed = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(self._down, self._down_ends), daemon=True),
            threading.Thread(target=self._run, args=(self._up, self._up_ends), daemon=True),
        ]

    def __enter__(self) -> Self:
        opened: list[Downlink | Uplink] = []
        for way in (self._down, self._up):  # down first: there it is heard whether the name is taken
            try:
                way.open()
            except BaseException:
                for other in (self._down, self._up):
                    (other.close if other in opened else other.leave)()
                raise
            opened.append(way)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Down first: the answers it waits for come in by the way up.
        self._down_ends.set()
        self._threads[0].join()
        self._up.end_by(time.monotonic() + self._drain_s)
        self._up_ends.set()
        self._threads[1].join()
        failed = self._failures[0] if self._failures else None
        if failed is not None and error is None:
            raise failed
        if failed is not None and failed is not error:
            log.error("the tunnel failed while it was ending", reason=str(failed))

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until interrupted, or for `timeout_s`; raises what ended one of the two ways."""
        end_s = time.monotonic() + (float("inf") if timeout_s is None else timeout_s)
        while time.monotonic() < end_s and not self._failed.wait(min(0.2, max(0.0, end_s - time.monotonic()))):
            pass
        if self._failures:
            raise self._failures[0]

    def summary(self) -> dict[str, Any]:
        """What has been carried so far: the ledger and the counts by kind."""
        counts = dict(self._up.counts)
        return {
            **self._down.tally().as_dict(),
            "acks": dict(self._down.acks),
            "models": self._down.current["models"],
            "tasks": self._down.current["tasks"],
            "uploads": counts.get("events", 0),
            "requests": counts.get("requests", 0),
            "telemetry": counts.get("telemetry", 0),
            "dead_letters": {k.removeprefix("dead: "): v for k, v in counts.items() if k.startswith("dead: ")},
        }

    def _run(self, way: Downlink | Uplink, ends: threading.Event) -> None:
        step: Callable[[], object] = way.step
        try:
            while not ends.is_set():
                step()
            way.drain(time.monotonic() + self._drain_s)
        except BaseException as error:  # `wait` raises it in the thread that owns the tunnel
            self._failures.append(error)
            self._failed.set()
        finally:
            way.close()
