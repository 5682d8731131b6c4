"""How many devices one fleet process can hold: connections, memory, cost per event and per training, snapshots.

    python -m benchmarks.devices --devices 10000

Every device gets an MQTT connection of its own to the embedded broker (a process apart), a full window of own
samples, a candidate batch of the default size pushed over that connection, and trained personal heads. `LIVED` of them
live through all their events and train; the others are copies of these, each with arrays of its own, as a restart makes
them. Memory is this process's alone: `VmHWM`, the most that was ever resident. Last, snapshots of them all and of few.
"""

import argparse
import asyncio
import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.batch import some_batch
from device_sim import topics
from device_sim.at_rest import restore_device
from device_sim.due import GROUP
from device_sim.fleet import Fleet
from device_sim.mqtt_link import MqttLink
from device_sim.state import FleetState
from device_sim.stimulus import OwnEvent
from models.cloud_model import random_model
from monitor.metrics import Metrics
from streams.fleet.service import POLL_IN_SNAPSHOT, POLL_MESSAGES
from streams.mqtt.embedded import EmbeddedMqtt
from streams.process.long_lived import LongLived
from wire.batch import encode_batch
from wire.candidates import Candidates
from wire.claim import Claim
from wire.event import Event
from wire.ids import item_keys
from wire.task import Task

CANDIDATES = 1600  # matched, and as many random ones: a batch of at most 20 kB on real logs
ITEMS, CATEGORIES = [f"item-{n}" for n in range(3000)], [f"category-{n}" for n in range(20)]
LIVED = 100  # devices that live through everything
CHANGED = 100  # devices that did something between two snapshots
LIMIT_S = 600.0
WEEK_S = 7 * 86_400


def memory_mb(what: str = "VmRSS", pid: int | str = "self") -> float:
    """Resident memory of a process in MB (10⁶ bytes): `VmRSS` now, `VmHWM` at most so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(what))


def behaviour(devices: int, per_device: int, part: int) -> list[OwnEvent]:
    """Events of all devices in turn, a second apart; those of another `part` come a week later."""
    rng = np.random.default_rng(part)
    items = rng.integers(0, len(ITEMS), devices * per_device)
    return [
        OwnEvent(
            Event(
                event_id=f"e{part}-{n}",
                user_id=f"user-{n % devices}",
                item_id=ITEMS[i],
                category_id=CATEGORIES[i % 20],
                event_type="view",
                label=1 if (i + n) % 3 else 0,
                timestamp=1000 * (n + part * WEEK_S),
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


@contextmanager
def tunnel(broker: EmbeddedMqtt) -> Iterator[Client]:
    """Who pushes; to be connected before all devices, as paho's own loop knows no file beyond the 1,024th."""
    cloud = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    cloud.connect(broker.settings.host, broker.settings.port)
    cloud.loop_start()
    try:
        yield cloud
    finally:
        cloud.disconnect()
        cloud.loop_stop()


async def push_batches(fleet: Fleet, link: MqttLink, cloud: Client, devices: int) -> float:
    """Push one batch to every device over its connection; returns batches per second."""
    rng = np.random.default_rng(1)
    matched, random = some_candidates(rng), some_candidates(rng)
    similarity = rng.uniform(0.5, 1, CANDIDATES).astype(np.float16)
    began, arrived = time.monotonic(), 0
    assert fleet.offer.model is not None
    for n in range(devices):
        batch = some_batch(f"user-{n}", 0, fleet.offer.model.id, similarity, matched=matched, random=random)
        cloud.publish(topics.candidates(f"user-{n}"), encode_batch(batch), 1)
    while arrived < devices:
        await link.wait(1.0)
        for arrival in link.take():
            fleet.deliver_batch(arrival.user_id, arrival.payload, 0)
            arrived += 1
        for user_id, publish in fleet.take_outgoing():
            link.publish(user_id, publish.leaf, publish.payload)
        assert time.monotonic() < began + LIMIT_S, f"only {arrived} of {devices} batches came"
    return devices / (time.monotonic() - began)


async def train(fleet: Fleet) -> tuple[int, float]:
    """Train all that are due; how many were, and ms of a core for each."""
    began, trained = time.thread_time(), 0
    while (job := fleet.begin_training(0)) is not None:
        fleet.finish_training(job.attempt(time.thread_time), 0)
        trained += len(job.users)
        await asyncio.sleep(0)  # let pings through
    return trained, 1e3 * (time.thread_time() - began) / max(trained, 1)


async def copy(fleet: Fleet, lived: int, devices: int) -> None:
    """Let all others be as those that lived, each with what is its own."""
    parts = [model.parts() for n in range(lived) if (model := fleet.at_rest(f"user-{n}")) is not None]
    for n in range(lived, devices):
        user_id = f"user-{n}"
        fleet.release(user_id)
        fleet.adopt(restore_device(user_id, parts[n % lived], 0, uploads=False))
        fleet.connected(user_id, 0)
        await asyncio.sleep(0)


def live(fleet: Fleet, events: list[OwnEvent]) -> float:
    """Devices live through these; µs of a core for each."""
    began = time.thread_time()
    for at in range(0, len(events), POLL_MESSAGES):
        fleet.handle_events(events[at : at + POLL_MESSAGES], 0)
        fleet.take_predictions()
    return 1e6 * (time.thread_time() - began) / len(events)


def held_ms(slices: Iterator[None]) -> list[float]:
    """How long each slice of a snapshot takes, ms of a core."""
    held, more = [], True
    while more:
        began = time.thread_time()
        more = next(slices, False) is None
        held.append(1e3 * (time.thread_time() - began))
    return held


def snapshots(fleet: Fleet, devices: int) -> dict[str, float]:
    """Snapshots of all devices, and of a few: how long each holds the loop in one go, ms of a core, and takes to
    write, ms. And how long a round of events does, each of another device, without a snapshot and while one waits for
    all of these."""
    figures = {}
    with TemporaryDirectory() as folder:
        state = FleetState(Path(folder))
        for part, (name, changed) in enumerate((("all", devices), ("few", CHANGED)), 2):
            live(fleet, behaviour(devices, 1, part)[:changed])
            figures[f"snapshot_{name}_held_ms"] = max(held_ms(state.noting(fleet, {}, {})))
            began = time.monotonic()
            state.write()
            figures[f"snapshot_{name}_written_ms"] = 1e3 * (time.monotonic() - began)
        for part, name, most in (4, "round", POLL_MESSAGES), (5, "round_in_snapshot", POLL_IN_SNAPSHOT):
            if name == "round_in_snapshot":
                next(state.noting(fleet, {}, {}), None)
            events = behaviour(devices, 1, part)
            began = time.thread_time()
            live(fleet, events[-most:])
            figures[f"{name}_held_ms"] = 1e3 * (time.thread_time() - began)
    return figures


async def measure(devices: int) -> dict[str, Any]:
    """Everything, on a fresh broker."""
    task = Task(task_version=1, acceptance_margin=100.0)  # or heads that chance teaches would not be kept
    fleet, lived = Fleet(Metrics(), seed=0), min(devices, LIVED)
    fleet.deliver_model(random_model(item_keys(ITEMS), item_keys(CATEGORIES), seed=0), 300_000, 0)
    fleet.deliver_task(task, 500, 0)
    figures: dict[str, Any] = {"devices": devices, "lived": lived, "start_mb": memory_mb()}
    figures["us_per_event"] = live(fleet, behaviour(lived, task.window_count, 0))
    with EmbeddedMqtt() as broker, tunnel(broker) as cloud:
        link = MqttLink(
            broker.settings.host, broker.settings.port, 0, Claim("coda-fleet", "boot", 0), metrics=Metrics()
        )
        before_mb = memory_mb()
        figures["connect_s"] = await connect(fleet, link, devices)
        figures["kb_per_connection"] = 1e3 * (memory_mb() - before_mb) / devices
        figures["pushes_per_s"] = await push_batches(fleet, link, cloud, devices)
        figures["trained"], figures["ms_per_training"] = await train(fleet)
        figures["us_per_event_trained"] = live(fleet, behaviour(lived, 20, 1))
        await copy(fleet, lived, devices)
        LongLived().look(devices)
        for user_id, publish in fleet.take_outgoing():
            link.publish(user_id, publish.leaf, publish.payload)
        await link.wait(1.0)
        for arrival in link.take():
            if arrival.kind in ("up", "down"):
                (fleet.connected if arrival.kind == "up" else fleet.link_lost)(arrival.user_id, 0)
        figures["connected"] = sum(device.connected for device in fleet.devices.values())
        figures["peak_mb"] = memory_mb("VmHWM")
        figures["kb_per_device"] = 1e3 * (memory_mb() - figures["start_mb"]) / devices
        figures |= snapshots(fleet, devices)
        figures["peak_with_snapshots_mb"] = memory_mb("VmHWM")
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
