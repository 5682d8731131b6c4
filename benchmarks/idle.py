"""What a system costs in which nothing happens: everything started, all devices connected, no events.

    python -m benchmarks.idle                            embedded brokers, 500 devices, a canary beside them
    python -m benchmarks.idle --no-canary --seconds 60 --json FILE

The initial part of a log is replayed first and everyone trains, so that users, pool and windows are there; then nothing
comes but the canary's request, one a second, which goes the whole way. A part's share is CPU seconds of its process per
second, all threads included. Exits with 1 when a target is missed.
"""

import argparse
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.freshness import EPOCH, LINGER, SERVICES, Stack, bring_up, process_cpu_s, say
from benchmarks.measured import measured
from benchmarks.paced_log import paced_log
from streams.child import Child
from streams.kafka.embedded import EmbeddedKafka
from streams.mqtt.embedded import EmbeddedMqtt

TARGETS = {"flow": 0.01, "all": 0.05}  # of a core, without the canary
PACE = 1000
PER_USER = 61  # one event more than the initial part has of each user: where the live part would begin
CALM_S = 10.0  # for what the first trainings set off


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Shares of a core: idle, and with a canary on its way once a second."""
    options.pace, options.arms, options.log = PACE, "cloud,local,coda", "generated"
    options.fleet_processes = 1
    log = paced_log(options.log, options.devices, PER_USER, PACE, say)
    initial = (PER_USER - 1) * options.devices
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="coda-idle-")))
        log.write_parquet(folder / "log.parquet")
        kafka, mqtt = opened.enter_context(EmbeddedKafka()), opened.enter_context(EmbeddedMqtt())
        stack = Stack(folder, kafka.bootstrap, mqtt.address, options, int(log["timestamp"][initial]))
        opened.callback(stack.stop)
        bring_up(stack, options.devices, initial)
        pids = {name: stack.children[name].pid for name in SERVICES}
        parts = {name: pid for name, pid in pids.items() if pid} | {"kafka": os.getpid(), "mqtt": mqtt.pid}
        time.sleep(CALM_S)
        say(f"idle, {options.seconds} s")
        shares = {"idle": cores(parts, options.seconds)}
        if options.canary:
            line = ("canary", "--bootstrap", kafka.bootstrap, "--mqtt", mqtt.address)
            canary = Child("canary", line, folder)
            canary.start()
            opened.callback(canary.stop, 10.0)
            time.sleep(CALM_S)
            assert canary.pid
            say(f"with a canary, {options.seconds} s")
            shares["canary"] = cores(parts | {"canary": canary.pid}, options.seconds)
            canary.check()
    return {"devices": options.devices, "seconds": options.seconds, "cores": shares, "load": os.getloadavg()[0]}


def cores(parts: dict[str, int], seconds: float) -> dict[str, float]:
    """The share of a core that each of these processes takes in the next `seconds`, and all of them together."""
    before, began_s = {name: process_cpu_s(pid) for name, pid in parts.items()}, time.monotonic()
    time.sleep(seconds)
    took_s = time.monotonic() - began_s
    shares = {name: (process_cpu_s(pid) - before[name]) / took_s for name, pid in parts.items()}
    return shares | {"all": sum(shares.values())}


def table(result: dict[str, Any]) -> list[str]:
    """The result for people."""
    idle, busy = result["cores"]["idle"], result["cores"].get("canary", {})
    lines = ["{devices} devices connected, no events, {seconds} s each, load {load:.1f}".format(**result), ""]
    lines.append(f"{'% of a core':<12} {'idle':>6} {'target':>7} {'with a canary':>14}")
    for name in dict.fromkeys((*(name for name in (*idle, *busy) if name != "all"), "all")):
        columns = [f"{100 * found[name]:.2f}" if name in found else "" for found in (idle, busy)]
        target = f"{100 * TARGETS[name]:.0f}" if name in TARGETS else ""
        missed = "  missed" if idle.get(name, 0.0) > TARGETS.get(name, 1.0) else ""
        lines.append(f"{name:<12} {columns[0]:>6} {target:>7} {columns[1]:>14}{missed}")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--epoch", default=EPOCH, help="of the dataflow")
    parser.add_argument("--canary", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    options.linger = LINGER
    result = measured(measure, table, options)
    sys.exit(any(result["cores"]["idle"][name] > target for name, target in TARGETS.items()))


if __name__ == "__main__":
    main()
