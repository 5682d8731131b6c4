"""How many devices one fleet process can hold: connections, memory, cost per event and per training.

    python -m benchmarks.devices            2,000 devices, table
    python -m benchmarks.devices --json

Every device gets an MQTT connection of its own to the embedded broker (a process apart), a full window of own
samples, a candidate batch of the default size pushed over that connection, and trained personal heads. Memory is this
process's alone: `VmHWM`, the most that was ever resident. Last, snapshots of them all and of those that did something.
"""

import argparse
import asyncio
import json
import platform
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.batch import some_batch
from device_sim import topics
from device_sim.due import GROUP
from device_sim.fleet import Fleet
from device_sim.mqtt_link import MqttLink
from device_sim.state import FleetState
from device_sim.stimulus import OwnEvent
from models.cloud_model import random_model
from monitor.metrics import Metrics
from streams.mqtt.embedded import EmbeddedMqtt
from wire.batch import encode_batch
from wire.candidates import Candidates
from wire.claim import Claim
from wire.event import Event
from wire.identity import NO_MODEL
from wire.ids import item_keys
from wire.task import Task

CANDIDATES = 1600  # matched, and as many random ones: a batch of at most 20 kB on real logs
ITEMS, CATEGORIES = [f"item-{n}" for n in range(3000)], [f"category-{n}" for n in range(20)]
BLOCK = 1000  # events handled at once
CHANGED = 100  # devices that did something between two snapshots
LIMIT_S = 120.0


def memory_mb(what: str = "VmRSS", pid: int | str = "self") -> float:
    """Resident memory of a process in MB (10⁶ bytes): `VmRSS` now, `VmHWM` at most so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(what))


def behaviour(devices: int, per_device: int, seed: int) -> list[OwnEvent]:
    """Events of all devices in turn, a second apart."""
    rng = np.random.default_rng(seed)
    items = rng.integers(0, len(ITEMS), devices * per_device)
    return [
        OwnEvent(
            Event(
                event_id=f"e{seed}-{n}",
                user_id=f"user-{n % devices}",
                item_id=ITEMS[i],
                category_id=CATEGORIES[i % 20],
                event_type="view",
                label=1 if (i + n) % 3 else 0,
                timestamp=1000 * n,
            ),
            0,
        )
        for n, i in enumerate(items.tolist())
    ]


def some_candidates(rng: np.random.Generator) -> Candidates:
    """As many candidates as a match brings."""
    items = rng.integers(0, len(ITEMS), CANDIDATES)
    return Candidates(
        rng.normal(-1, 0.5, CANDIDATES).astype(np.float16),
        item_keys([ITEMS[i] for i in items]),
        item_keys([CATEGORIES[i % 20] for i in items]),
        (items % 2).astype(np.uint8),
        np.zeros(CANDIDATES, np.uint8),
        np.zeros(CANDIDATES, np.uint32),
    )


async def connect(fleet: Fleet, link: MqttLink, devices: int) -> float:
    """Connect all devices; returns the seconds it took."""
    began = time.monotonic()
    for n in range(devices):
        link.open(f"user-{n}")
    up = 0
    while up < devices:
        await link.wait(1.0)
        for arrival in link.take():
            fleet.connected(arrival.user_id, 0)
            up += 1
        assert time.monotonic() < began + LIMIT_S, f"only {up} of {devices} connected"
    return time.monotonic() - began


async def push_batches(fleet: Fleet, link: MqttLink, broker: EmbeddedMqtt, devices: int) -> float:
    """Push one batch to every device over its connection; returns batches per second."""
    cloud = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    cloud.connect(broker.settings.host, broker.settings.port)
    cloud.loop_start()
    rng = np.random.default_rng(1)
    matched, random = some_candidates(rng), some_candidates(rng)
    similarity = rng.uniform(0.5, 1, CANDIDATES).astype(np.float16)
    began, arrived = time.monotonic(), 0
    for n in range(devices):
        batch = some_batch(f"user-{n}", 0, NO_MODEL, similarity, matched=matched, random=random)
        cloud.publish(topics.candidates(f"user-{n}"), encode_batch(batch), 1)
    while arrived < devices:
        await link.wait(1.0)
        for arrival in link.take():
            fleet.deliver_batch(arrival.user_id, arrival.payload, 0)
            arrived += 1
        for user_id, publish in fleet.take_outgoing():
            link.publish(user_id, publish.leaf, publish.payload)
        assert time.monotonic() < began + LIMIT_S, f"only {arrived} of {devices} batches came"
    cloud.disconnect()
    cloud.loop_stop()
    return devices / (time.monotonic() - began)


def snapshots(fleet: Fleet, devices: int) -> dict[str, float]:
    """How long a snapshot holds the loop, ms, and how long it takes to write: of all devices, and of a few."""
    figures = {}
    with TemporaryDirectory() as folder:
        state = FleetState(Path(folder))
        for name, changed in ("all", 0), ("few", CHANGED):
            fleet.handle_events(behaviour(devices, 1, seed=3 + changed)[:changed], 0)
            began = time.monotonic()
            state.note(fleet, {}, {})
            noted = time.monotonic()
            state.write()
            figures[f"snapshot_{name}_held_ms"] = 1e3 * (noted - began)
            figures[f"snapshot_{name}_written_ms"] = 1e3 * (time.monotonic() - noted)
    return figures


async def measure(devices: int) -> dict[str, Any]:
    """Everything, on a fresh broker."""
    task = Task(task_version=1)
    fleet = Fleet(Metrics(), seed=0)
    fleet.deliver_model(random_model(item_keys(ITEMS), item_keys(CATEGORIES), seed=0), 300_000, 0)
    fleet.deliver_task(task, 500, 0)
    figures: dict[str, Any] = {"devices": devices, "start_mb": memory_mb()}
    with EmbeddedMqtt() as broker:
        link = MqttLink(
            broker.settings.host, broker.settings.port, 0, Claim("coda-fleet", "boot", 0), metrics=Metrics()
        )
        figures["connect_s"] = await connect(fleet, link, devices)
        figures["connected_mb"] = memory_mb()
        events = behaviour(devices, task.window_count, seed=2)
        began = time.thread_time()
        for at in range(0, len(events), BLOCK):
            fleet.handle_events(events[at : at + BLOCK], 0)
            fleet.take_predictions()
        figures["us_per_event"] = 1e6 * (time.thread_time() - began) / len(events)
        del events
        figures["windows_full_mb"] = memory_mb()
        figures["pushes_per_s"] = await push_batches(fleet, link, broker, devices)
        began, trained = time.thread_time(), 0
        while (job := fleet.begin_training(0)) is not None:
            fleet.finish_training(job.attempt(time.thread_time), 0)
            trained += len(job.users)
            await asyncio.sleep(0)  # let pings through
        figures["trained"] = trained
        figures["ms_per_training"] = 1e3 * (time.thread_time() - began) / max(trained, 1)
        for user_id, publish in fleet.take_outgoing():
            link.publish(user_id, publish.leaf, publish.payload)
        figures["peak_mb"] = memory_mb("VmHWM")
        figures |= snapshots(fleet, devices)
        figures["bytes_stored_per_device"] = int(np.median([d.bytes_stored for d in fleet.devices.values()]))
        await link.close()
    figures["group"] = GROUP
    figures["machine"] = f"{platform.processor() or platform.machine()}, Python {platform.python_version()}"
    return figures


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--json", type=Path, help="write the results here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures = asyncio.run(measure(arguments.devices))
    for name, value in figures.items():
        print(f"{name:26} {value:,.1f}" if isinstance(value, float) else f"{name:26} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
