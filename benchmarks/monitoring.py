"""What monitoring costs a flow, on and off in one run: CPU per event of the same flow, with all of it and with none.

    python -m benchmarks.monitoring                       embedded Kafka, three pairs, 5,000 events/s
    python -m benchmarks.monitoring --pairs 5 --events 200000

Runs alternate, so that what else the machine does meets both. Without monitoring there are no statuses, no looks at
positions, no counters, no ages, and nobody tells canaries from people. A run's CPU is that of the flow's process from
its first event to its last, by the kernel's account.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.flow import Load, broker, feed, publish
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.topics import EVENTS, FLOW_GROUP

WITHOUT = "--without"  # how the flow that is not monitored is started, as a process of this module
TARGET = 0.03
_LOADED_S = 10.0  # until a flow has its model; it waits for events then
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print; exit code 1 when monitoring costs more than the target."""
    if sys.argv[1:2] == [WITHOUT]:
        sys.exit(run_without(sys.argv[2:]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="ml-1m")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--pace", type=int, default=5000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # of both flows, as `coda` sets them
    load = Load(options.log, options.events)
    pairs = []
    for n in range(options.pairs):
        on, off = (cpu_us(load, options.pace, flow) for flow in (["-m", "streams"], ["-m", __spec__.name, WITHOUT]))
        pairs.append((on, off))
        print(f"pair {n + 1}: {on:.1f} µs of CPU per event with monitoring, {off:.1f} without", flush=True)
    cost = statistics.median(on for on, _ in pairs) / statistics.median(off for _, off in pairs) - 1
    print(f"medians at {options.pace:,} events/s: monitoring costs {cost:+.1%} (target < {TARGET:.0%})")
    if options.json:
        options.json.write_text(json.dumps({"pairs_us": pairs, "cost": cost}, indent=2) + "\n")
    sys.exit(cost >= TARGET)


def cpu_us(load: Load, pace: int, flow: Sequence[str]) -> float:
    """CPU per event of a flow that is started so, while the events come at a pace, in microseconds."""
    with broker(None) as settings, tempfile.TemporaryDirectory() as folder:
        publish(settings, load.model)
        with running([sys.executable, *flow, *_flow(settings, folder)]) as pid:
            time.sleep(_LOADED_S)
            began_s = cpu_s(pid)
            feed(settings, load, FLOW_GROUP, pace)
            wait(settings)
            return 1e6 * (cpu_s(pid) - began_s) / len(load)


def cpu_s(pid: int) -> float:
    """What a process and its threads have computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def wait(settings: KafkaSettings) -> None:
    """Until the flow is through with what there is."""
    group = KafkaBus(settings).group(FLOW_GROUP)
    while sum(group.lag(EVENTS).values()):
        time.sleep(0.1)
    group.close()


@contextmanager
def running(command: Sequence[str]) -> Iterator[int]:
    """The process while the context is open."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process.pid
        finally:
            process.terminate()


def run_without(tokens: Sequence[str]) -> int:
    """Run a command line of ours in which nothing is measured."""
    from prometheus_client import Counter, Gauge, Histogram  # noqa: PLC0415 - all of it is taken out first

    import monitor.freshness  # noqa: PLC0415
    import operators.canary  # noqa: PLC0415
    import streams.process.pulse  # noqa: PLC0415

    def nothing(*_: Any, **__: Any) -> None:
        pass

    for kind, methods in {Counter: ("inc",), Gauge: ("inc", "dec", "set"), Histogram: ("observe",)}.items():
        for method in methods:
            setattr(kind, method, nothing)
    swapped: dict[tuple[Any, str], Any] = {
        (monitor.freshness, "observe_freshness"): nothing,
        (operators.canary, "people"): lambda keyed: keyed,
        (operators.canary, "canaries"): lambda _: [],
        (streams.process.pulse, "Pulse"): Silent,
    }
    for (module, name), other in swapped.items():
        setattr(module, name, other)
    from streams.cli import run  # noqa: PLC0415

    return run(list(tokens))


class Silent:
    """Stands where a pulse does, and says nothing."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *_: object) -> None: ...


def _flow(settings: KafkaSettings, folder: str) -> list[str]:
    pool = ["--pool", f"{folder}/pool", "--state", f"{folder}/state", "--pool-age", "100000d"]
    return ["flow", "--bootstrap", settings.bootstrap, *pool]


if __name__ == "__main__":
    main()
