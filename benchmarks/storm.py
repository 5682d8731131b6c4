"""A reconnect storm: all devices are cut at one moment; how soon is each served again, and how even is the way back?

    python -m benchmarks.storm                                  1,000 and 2,000 devices, both brokers
    python -m benchmarks.storm --devices 500 --brokers embedded --json FILE

The devices are a fleet's own link (`device_sim.mqtt_link`), one connection each, without the training behind it.
A device is served when it is connected, subscribed, and has its retained candidate batch. Two storms: `cut` closes
every device's connection while the broker runs; `restart` ends the broker and starts it again, and what it does not
keep by itself is published again, as the tunnel would. Rates are of connections that stand, in any one second; a
storm's mean is over the time from its first to its last.
"""

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from device_sim import topics
from device_sim.mqtt_link import MqttLink
from monitor.metrics import Metrics
from streams.mqtt.client import MqttClient
from streams.mqtt.connection import MqttSettings
from streams.mqtt.embedded import EmbeddedMqtt
from streams.ports import free_ports
from wire.claim import Claim

TARGET_S = {1000: 10.0, 2000: 20.0}  # until the last device is served
PEAK_TO_MEAN = 1.5
BATCH_BYTES = 16_000  # a candidate batch of a thousand samples
LIMIT_S = 120.0
CALM_S = 3.0  # for what the storm before left to do
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_SCRIPT = Path(__file__).parents[1] / "scripts" / "mqtt"


class Embedded(EmbeddedMqtt):
    """The broker that comes with the project."""

    keeps = False  # what it retains, over a restart

    def stop(self) -> None:
        """End it."""
        self.kill()


class Mosquitto:
    """mosquitto by `scripts/mqtt`, which ends it in order, so that it saves what it retains."""

    keeps = True

    def __init__(self) -> None:
        self.settings = MqttSettings(port=free_ports(1)[0])
        self._folder = Path(tempfile.mkdtemp(prefix="coda-storm-"))

    @property
    def pid(self) -> int:
        """The running broker's process."""
        return int((self._folder / "pid").read_text())

    def start(self) -> None:
        """Start it, with what it saved."""
        self._script("up")

    def stop(self) -> None:
        """End it in order."""
        self._script("down")

    def __enter__(self) -> "Mosquitto":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _script(self, action: str) -> None:
        command = [str(_SCRIPT), action, "--port", str(self.settings.port), "--folder", str(self._folder)]
        subprocess.run(command, check=True, capture_output=True)


BROKERS: dict[str, Callable[[], Embedded | Mosquitto]] = {"embedded": Embedded, "mosquitto": Mosquitto}


@dataclass(frozen=True)
class Storm:
    """One storm; seconds are since its beginning, CPU is of what it took until the last device was served."""

    broker: str
    kind: str
    devices: int
    served_p50_s: float
    served_p99_s: float
    served_last_s: float
    mean_per_s: float
    peak_per_s: float
    fleet_cpu_s: float
    broker_cpu_s: float
    broker_rss_mb: float

    @property
    def passed(self) -> bool:
        """Whether it meets the targets, where there are any for so many devices."""
        even = self.peak_per_s <= PEAK_TO_MEAN * self.mean_per_s
        return even and self.served_last_s <= TARGET_S.get(self.devices, LIMIT_S)


def peak_per_s(moments_s: Sequence[float]) -> float:
    """The most within any one second.

    >>> peak_per_s([0.0, 0.5, 0.9, 5.0])
    3.0
    """
    moments = np.sort(moments_s)
    return float((np.searchsorted(moments, moments + 1.0) - np.arange(len(moments))).max())


def mean_per_s(moments_s: Sequence[float]) -> float:
    """How many a second, from the first to the last.

    >>> mean_per_s([1.0, 1.5, 2.0])
    3.0
    """
    return len(moments_s) / max(max(moments_s) - min(moments_s), 1e-9)


class Fleet:
    """The devices, and when each was connected and served since `restarted`."""

    def __init__(self, address: MqttSettings, devices: int) -> None:
        self._link = MqttLink(address.host, address.port, 1, Claim("storm", "b", 1), metrics=Metrics())
        self.users = [f"u{number}" for number in range(devices)]
        for user_id in self.users:
            self._link.open(user_id)
        self.restarted()

    def restarted(self) -> None:
        """Measure from now on."""
        self.began_s = time.perf_counter()
        self.up_s: dict[str, float] = {}
        self.served_s: dict[str, float] = {}

    async def all_served(self) -> None:
        """Wait until each device is; raises `TimeoutError`."""
        async with asyncio.timeout(LIMIT_S):
            while len(self.served_s) < len(self.users):
                await self._link.wait(0.05)
                self._take(time.perf_counter() - self.began_s)

    def _take(self, now_s: float) -> None:
        for arrival in self._link.take():
            if arrival.kind == "up":
                self.up_s[arrival.user_id] = now_s
            elif arrival.kind == "candidates" and arrival.user_id in self.up_s:
                self.served_s.setdefault(arrival.user_id, now_s)

    async def close(self) -> None:
        """Disconnect all."""
        await self._link.close()


def cut(port: int) -> None:
    """Shut every connection of this process to the port, as a network that breaks would."""
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError), socket.socket(fileno=os.dup(int(path.name))) as each:
            if each.getpeername()[1:2] == (port,):
                each.shutdown(socket.SHUT_RDWR)


def publish_batches(settings: MqttSettings, devices: int, nbytes: int) -> None:
    """A retained batch for each device."""
    client = MqttClient(settings, Metrics(), "storm-cloud")
    client.open()
    for number in range(devices):
        client.publish(topics.candidates(f"u{number}"), os.urandom(nbytes), retain=True)
    if not client.settle(LIMIT_S):
        sys.exit("the broker does not take the batches")
    client.close()


def cpu_s(pid: int) -> float:
    """CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def rss_mb(pid: int) -> float:
    """Memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def storms(name: str, broker: Embedded | Mosquitto, devices: int, nbytes: int) -> list[Storm]:
    """All storms of one broker with so many devices."""
    cloud = ProcessPoolExecutor(1, get_context("spawn"))  # not in the fleet's process, whose time is measured
    publishing = partial(publish_batches, broker.settings, devices, nbytes)
    await asyncio.wrap_future(cloud.submit(publishing))
    fleet = Fleet(broker.settings, devices)
    rows = []

    async def measured(kind: str, event: Callable[[], None]) -> None:
        await asyncio.sleep(CALM_S)
        fleet.restarted()
        own_s, theirs_s = time.process_time(), cpu_s(broker.pid)
        await asyncio.gather(asyncio.to_thread(event), fleet.all_served())
        theirs_s = theirs_s if kind != "restart" else 0.0
        up, served = list(fleet.up_s.values()), list(fleet.served_s.values())
        p50, p99 = np.quantile(served, [0.5, 0.99])
        row = Storm(
            broker=name,
            kind=kind,
            devices=devices,
            served_p50_s=round(float(p50), 2),
            served_p99_s=round(float(p99), 2),
            served_last_s=round(max(served), 2),
            mean_per_s=round(mean_per_s(up), 1),
            peak_per_s=peak_per_s(up),
            fleet_cpu_s=round(time.process_time() - own_s, 2),
            broker_cpu_s=round(cpu_s(broker.pid) - theirs_s, 2),
            broker_rss_mb=round(rss_mb(broker.pid), 1),
        )
        print(line(row), flush=True)
        rows.append(row)

    def restart() -> None:
        broker.stop()
        broker.start()
        if not broker.keeps:
            cloud.submit(publishing).result()

    await fleet.all_served()
    await measured("cut", lambda: cut(broker.settings.port))
    await measured("restart", restart)
    await fleet.close()
    cloud.shutdown()
    return rows


HEADER = (
    "broker     storm    devices  served p50    p99   last  mean/s  peak/s  peak:mean  CPU s: fleet  broker  broker MB"
)


def line(storm: Storm) -> str:
    """One row of the table."""
    return (
        f"{storm.broker:<10} {storm.kind:<8} {storm.devices:>7} {storm.served_p50_s:>11.2f} {storm.served_p99_s:>6.2f} "
        f"{storm.served_last_s:>6.2f} {storm.mean_per_s:>7.0f} {storm.peak_per_s:>7.0f} "
        f"{storm.peak_per_s / storm.mean_per_s:>10.2f} {storm.fleet_cpu_s:>13.2f} {storm.broker_cpu_s:>7.2f} "
        f"{storm.broker_rss_mb:>7.0f}{'' if storm.passed else '   misses its target'}"
    )


def main() -> None:
    """Run all; exit code 1 when a storm misses its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="+", default=[1000, 2000])
    parser.add_argument("--brokers", nargs="+", choices=list(BROKERS), default=list(BROKERS))
    parser.add_argument("--batch-bytes", type=int, default=BATCH_BYTES)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(HEADER)
    rows: list[Storm] = []
    for name in given.brokers:
        for devices in given.devices:
            broker = BROKERS[name]()
            with broker:
                rows += asyncio.run(storms(name, broker, devices, given.batch_bytes))
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    if missed := sum(not row.passed for row in rows):
        sys.exit(f"{missed} storms miss their target")


if __name__ == "__main__":
    main()
