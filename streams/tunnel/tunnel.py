"""The tunnel between Kafka and MQTT, live: the way up and the way down, each stepped by a thread of its own."""

import secrets
import threading
from types import TracebackType
from typing import Any, Self

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from monitor.metrics import Metrics
from streams.bus import Bus
from streams.mqtt.broker import Broker
from streams.tunnel.allowance import DEFAULT, Rate
from streams.tunnel.downlink import Downlink
from streams.tunnel.phase import Phase
from streams.tunnel.uplink import Uplink
from wire.claim import Claim
from wire.clock import Clock
from wire.reason import Reason
from wire.status import Frontier

log = structlog.get_logger(__name__)

EXPIRY_MS = 600_000  # the task's `candidate_age_ms`: a batch older than that is not trained on
DRAIN_S = 5.0  # devices on a slow link answer a push within seconds


class Tunnel:
    """Carries messages while the context is open; leaving it drains what is on its way.

    `name` tells this tunnel from others on the same brokers; they share the load. Models and tasks that
    the key of `public` did not sign are not passed on (None: whoever signed them), nor is what a device sends
    beyond `rate`. Raises `ConnectionFailed` when a broker cannot be reached at the start. Later outages are waited for.
    """

    def __init__(
        self,
        bus: Bus,
        broker: Broker,
        clock: Clock,
        *,
        metrics: Metrics,
        name: str = "tunnel",
        expiry_ms: int = EXPIRY_MS,
        drain_s: float = DRAIN_S,
        public: Ed25519PublicKey | None = None,
        rate: Rate = DEFAULT,
    ) -> None:
        claim = Claim(name, secrets.token_hex(4), clock.wall_ms())
        self._down = Downlink(bus, broker, clock, claim, metrics=metrics, expiry_ms=expiry_ms, public=public)
        self._up = Uplink(bus, broker, clock, name, metrics, rate=rate)
        self._drain_s = drain_s
        self._down_ends, self._up_ends = threading.Event(), threading.Event()
        self._failed = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(self._down, self._down_ends), daemon=True),
            threading.Thread(target=self._run, args=(self._up, self._up_ends), daemon=True),
        ]

    def __enter__(self) -> Self:
        try:
            for way in (self._down, self._up):  # down first: there it is heard whether the name is taken
                way.open()
                while way.phase is Phase.OPENING:
                    way.step()
        except BaseException:
            self._down.close()
            self._up.close()
            raise
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Down first: the answers it waits for come in by the way up.
        self._down_ends.set()
        self._threads[0].join()
        self._up_ends.set()
        self._threads[1].join()
        failed = self._failures[0] if self._failures else None
        if failed is not None and error is None:
            raise failed
        if failed is not None and failed is not error:
            log.error("the tunnel failed while it was ending", reason=str(failed))

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until interrupted, or for `timeout_s`; raises what ended one of the two ways."""
        self._failed.wait(timeout_s)
        if self._failures:
            raise self._failures[0]

    @property
    def frontiers(self) -> list[Frontier]:
        """How far devices have answered, as of the last half second."""
        return [self._down.pushed] if self._down.pushed is not None else []

    def summary(self) -> dict[str, Any]:
        """What has been carried so far: the ledger and the counts by kind."""
        counts = dict(self._up.counts)
        return {
            **self._down.tally().as_dict(),
            "acks": dict(self._down.acks),
            **self._down.versions,
            "uploads": counts.get("events", 0),
            "requests": counts.get("requests", 0),
            "telemetry": counts.get("telemetry", 0),
            "over_rate": counts.get(Reason.RATE, 0),
            "dead_letters": {k.removeprefix("dead: "): v for k, v in counts.items() if k.startswith("dead: ")},
        }

    def _run(self, way: Downlink | Uplink, ends: threading.Event) -> None:
        try:
            while not ends.is_set():
                way.step()
            way.drain(self._drain_s)
            while way.phase is not Phase.ENDED:
                way.step()
        except BaseException as error:  # `wait` raises it in the thread that owns the tunnel
            self._failures.append(error)
            self._failed.set()
        finally:
            way.close()
