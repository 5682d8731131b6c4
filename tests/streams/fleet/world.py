"""The other side of a fleet's brokers, and how to run a fleet until something has happened."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from device_sim import topics
from device_sim.mqtt_link import MqttLink
from models.artefact import model_to_bytes, sealed
from models.cloud_model import CloudModel, random_model
from monitor.metrics import Metrics
from streams.bus import never
from streams.fleet.service import FleetService
from streams.fleet.settings import FleetSettings
from streams.fleet.shell import FleetShell
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.producer import CheckedProducer
from streams.mqtt.embedded import EmbeddedMqtt
from wire.batch import encode_batch
from wire.candidates import CandidateBatch, Candidates
from wire.claim import Claim
from wire.clock import SystemClock
from wire.event import Event, decode_event, encode_event
from wire.ids import item_keys
from wire.signing import PUBLIC, keys_in, sign_model, sign_task
from wire.task import Task
from wire.telemetry import Receipt, Upward, decode_report, encode_report

ITEMS, CATEGORIES = [f"i{n}" for n in range(40)], [f"c{n}" for n in range(4)]
TASK = Task(task_version=1, min_samples=6, retrain_every=6, classifier_steps=5)
LIMIT_S = 30.0


def cloud_model(version: int) -> CloudModel:
    """As whoever receives it knows it."""
    return sealed(random_model(item_keys(ITEMS), item_keys(CATEGORIES), seed=version, version=version))


class Cloud:
    """The other side of both brokers."""

    def __init__(self, kafka: str, mqtt: EmbeddedMqtt, keys: Path) -> None:
        self.kafka = KafkaSettings(kafka)
        self.producer = CheckedProducer(self.kafka)
        self.private, _ = keys_in(keys)
        self.heard: list[tuple[str, str, bytes]] = []
        self.mqtt = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self.mqtt.on_message = self._hear
        self.has_not: set[str] = set()  # events that get no receipt
        self.mqtt.connect(mqtt.settings.host, mqtt.settings.port)
        self.mqtt.loop_start()
        self.mqtt.subscribe([(topic, 1) for topic in topics.UP])

    def _hear(self, _client: Client, _: Any, message: MQTTMessage) -> None:
        (user_id, leaf), raw = topics.device_of(message.topic), bytes(message.payload)
        self.heard.append((user_id, leaf, raw))
        if leaf == "events" and (event_id := decode_event(raw).event_id) not in self.has_not:
            self.mqtt.publish(topics.receipts(user_id), encode_report(Receipt((event_id,))), 1)

    def push(self, topic: str, payload: bytes) -> None:
        self.mqtt.publish(topic, payload, 1, True).wait_for_publish(LIMIT_S)

    def model(self, version: int) -> None:
        self.push(topics.MODEL, sign_model(model_to_bytes(cloud_model(version)), self.private))

    def task(self, task: Task = TASK) -> None:
        self.push(topics.TASK, sign_task(task, self.private))

    def behave(self, topic: str, events: list[Event]) -> None:
        users = [event.user_id for event in events]
        self.producer.send_many(topic, users, [encode_event(event) for event in events])
        self.producer.flush()

    def batch(self, user_id: str, seq: int, version: int = 1) -> None:
        self.push(topics.candidates(user_id), encode_batch(batch_for(user_id, seq, version)))

    def reports(self, kind: type) -> list[Upward]:
        decoded = [decode_report(raw) for _, leaf, raw in list(self.heard) if leaf != "events"]
        return [report for report in decoded if isinstance(report, kind)]

    def close(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


def batch_for(user_id: str, seq: int, version: int) -> CandidateBatch:
    rng = np.random.default_rng(seq)

    def candidates() -> Candidates:
        return Candidates(
            rng.normal(-1, 0.5, 20).astype(np.float16),
            item_keys([ITEMS[n] for n in rng.integers(0, 40, 20)]),
            item_keys([CATEGORIES[n] for n in rng.integers(0, 4, 20)]),
            np.arange(20, dtype=np.uint8) % 2,
            np.zeros(20, np.uint8),
            np.zeros(20, np.uint32),
        )

    now_ms = time.time_ns() // 1_000_000
    similarity = np.linspace(0.9, 0.6, 20).astype(np.float16)
    model = cloud_model(version).id
    return CandidateBatch(user_id, seq, model, 10**9, now_ms, now_ms, candidates(), similarity, candidates())


def history_of(user_id: str, first: int, count: int) -> list[Event]:
    return [
        Event(f"{user_id}-{n}", user_id, ITEMS[n % 40], CATEGORIES[n % 4], "view", 0 if n % 3 else 1, 10**9 + 1000 * n)
        for n in range(first, first + count)
    ]


def settings_for(cloud: Cloud, tmp_path: Path, **changes: Any) -> FleetSettings:
    for name in ("state", "out"):
        (tmp_path / name).mkdir(exist_ok=True)
    plain: dict[str, Any] = {
        "own": "events",
        "devices": None,
        "state": tmp_path / "state",
        "out": tmp_path / "out",
        "cloud_key": tmp_path / "keys" / PUBLIC,
        "seed": 1,
    }
    return FleetSettings(**{**plain, **changes})


async def run_until(
    cloud: Cloud,
    settings: FleetSettings,
    done: Callable[[FleetShell], bool],
    *,
    act: Callable[[FleetShell], None] | None = None,
    grown: Callable[[], bool] = never,
) -> dict[str, Any]:
    """Run a fleet until `done`, then end it as Ctrl-C would; `act` happens beside it."""
    ensure_topics(cloud.kafka, [settings.topic])
    address = cloud.address  # type: ignore[attr-defined]
    metrics = Metrics()
    link = MqttLink(address.host, address.port, 1, Claim("coda-fleet", "boot", 1), metrics=metrics)
    shell = FleetShell(settings, KafkaBus(cloud.kafka), link, SystemClock(), metrics=metrics, grown=grown)
    running = asyncio.create_task(shell.run(FleetService.result))
    if act is not None:
        await asyncio.to_thread(act, shell)
    end = time.monotonic() + LIMIT_S
    while not done(shell):
        assert time.monotonic() < end, f"never done: {shell.service.fleet.counts}"
        await asyncio.wait([running], timeout=0.02)
        if running.done():
            running.result()
    shell.stop()
    return await running


def predicted(shell: FleetShell) -> int:
    return len(shell.service.board.scores())
