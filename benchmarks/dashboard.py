"""What `coda dashboard` costs: its share of a core, its memory, and how long its page takes to be drawn.

    python -m benchmarks.dashboard                              made-up processes and 10,000 devices
    python -m benchmarks.dashboard --bootstrap 127.0.0.1:9092   beside a system that runs

The dashboard begins with as many frames as it ever keeps, those of a quarter of an hour, so that nothing grows after
that. Its page is open in a headless Chromium while CPU is counted, by the kernel's account; it is loaded anew for each
of the times, until the flow is drawn. Needs Chromium.
"""

import argparse
import itertools
import json
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from benchmarks.devices import memory_mb
from benchmarks.monitoring import cpu_s, running
from monitor.metrics import Metrics
from monitor.stages import STAGES
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import STATUS, TELEMETRY
from streams.ports import free_ports
from streams.process.own_status import Identity
from tests.streams.dashboard.browser import CHROMIUM, Page, browser
from tests.wire.reports import ack
from wire.status import Frontier, Role, encode_status
from wire.task import ARMS
from wire.telemetry import Presence, encode_report

TARGETS = {"load_s": 1.0, "core_share": 0.05, "memory_mb": 150.0}
PARTITIONS = 4
ROLES = (Role.REPLAY, Role.FLOW, Role.TUNNEL, Role.TRAINER, Role.FLEET, Role.CANARY)
CHANGES_PER_S = 100  # devices that answer for a batch
LOADS = 9
PATIENCE_S = 120.0
DRAWN = "document.querySelector('[data-stage]') && performance.now()"


def main() -> None:
    """Measure and print; exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", help="the Kafka of a system that runs")
    parser.add_argument("--devices", type=int, default=10_000, help="made-up ones")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    if CHROMIUM is None:
        sys.exit("no Chromium here: apt install chromium")
    with ExitStack() as opened:
        bootstrap = options.bootstrap or opened.enter_context(made_up(options.devices))
        figures = measured(bootstrap, options.seconds)
    print(
        f"{figures['core_share']:.1%} of a core, {figures['memory_mb']:.0f} MB ({figures['most_mb']:.0f} at most), "
        f"drawn {figures['load_s']:.2f} s after the page is asked for (median of {LOADS}, at most "
        f"{figures['longest_load_s']:.2f})"
    )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(any(figures[name] >= target for name, target in TARGETS.items()))


def measured(bootstrap: str, seconds: float) -> dict[str, float]:
    """A dashboard beside that Kafka."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "benchmarks.long_dashboard", "--bootstrap", bootstrap, "--port", str(port)]
    with running(command) as pid, tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as page:
        address = f"http://127.0.0.1:{port}/"
        await_server(port)
        until_drawn(page, address)  # once it has its frames
        loads_s = [until_drawn(page, address) for _ in range(LOADS)]
        time.sleep(2)  # the last load is none of the seconds that are counted
        began_s, cpu_before_s = time.monotonic(), cpu_s(pid)
        time.sleep(seconds)
        share = (cpu_s(pid) - cpu_before_s) / (time.monotonic() - began_s)
        return {
            "load_s": statistics.median(loads_s),
            "longest_load_s": max(loads_s),
            "core_share": share,
            "memory_mb": memory_mb("VmRSS", pid),
            "most_mb": memory_mb("VmHWM", pid),
        }


def until_drawn(page: Page, address: str) -> float:
    """Seconds from asking for the page until the flow is drawn, to a hundredth."""
    page.open("about:blank")
    page.wait("location.href === 'about:blank'")  # what the page before says is over
    page.open(address)
    while not (drawn_ms := page.ask(DRAWN)):
        time.sleep(0.01)
    return float(drawn_ms) / 1000


def await_server(port: int) -> None:
    """Until somebody listens there."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    sys.exit(f"the dashboard did not serve within {PATIENCE_S:.0f} s")


@contextmanager
def made_up(devices: int) -> Iterator[str]:
    """A Kafka on which processes of every role say once a second how they are, and devices what they did."""
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        ensure_topics(settings)
        producer = KafkaBus(settings).producer()
        for number in range(devices):
            producer.send(TELEMETRY, user(number), encode_report(Presence(user(number), online=number % 10 > 0)))
        producer.flush(60)
        over, processes = threading.Event(), [Process(role) for role in ROLES]

        def speak() -> None:
            dice = random.Random(0)
            for second in itertools.count(1):
                for process in processes:
                    producer.send(STATUS, f"{process.me.role}/0", process.said(second))
                for number in dice.sample(range(devices), min(devices, CHANGES_PER_S)):
                    producer.send(TELEMETRY, user(number), encode_report(ack(user(number), second)))
                producer.flush(10)
                if over.wait(1):
                    return

        thread = threading.Thread(target=speak, daemon=True)
        thread.start()
        try:
            yield kafka.bootstrap
        finally:
            over.set()
            thread.join()


def user(number: int) -> str:
    """A device's name."""
    return f"user-{number}"


class Process:
    """One that has something to say of everything that its role has; all have counted all there is."""

    def __init__(self, role: Role) -> None:
        self.me = Identity(role, "0", time.time_ns() // 1_000_000)
        self._stages = [name for name, stage in STAGES.items() if stage.role == role]
        self._metrics = Metrics()

    def said(self, second: int) -> bytes:
        """Its status in that second of the run."""
        now_ms, metrics = time.time_ns() // 1_000_000, self._metrics
        for reason in ("late", "duplicate", "rare", "malformed"):
            metrics.rejected.labels(reason).inc()
        for counter in (metrics.pooled, metrics.produced, metrics.pushes, metrics.predictions):
            counter.inc(1000)
        for arm in ARMS:
            metrics.arm_gauc.labels(arm).set(0.6 + second % 10 / 1000)
            for bound in ("low", "mean", "high"):
                metrics.lately_gain.labels(arm, "all", bound).set(second % 10 / 1000)
        for stage in self._stages:
            metrics.freshness_s.labels(stage).observe(second % 10 / 20)
        for use in ("own", "matched", "random", "model"):
            metrics.use_age_s.labels(use).observe(60.0 * second)
        frontiers = [
            Frontier(stage, partition, 1000 * second, 1000 * second + 50, now_ms - 500, now_ms)
            for stage in self._stages
            for partition in (range(PARTITIONS) if STAGES[stage].reads else [-1])
        ]
        return encode_status(self.me.status(second, now_ms, metrics, frontiers=tuple(frontiers), cpu_s=second / 10))


if __name__ == "__main__":
    main()
