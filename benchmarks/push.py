"""What the tunnel costs over a broker alone: the same batches to the same devices, from a plain client and through it.

python -m benchmarks.push                                  500 devices, 45 and 200 batches of 20 kB a second
python -m benchmarks.push --per-s 45 --seconds 20 --json FILE

`alone` is a paho client that publishes to mosquitto as the tunnel does: at QoS 1, retained, with an expiry. `tunnel` is
`coda tunnel` as a process: it reads the batches from the embedded Kafka, keeps a ledger of them and commits positions;
`answered` the same with a device's answer to each batch, which it carries up. Devices are a fleet's own link, one
connection each. CPU is of whoever publishes and of mosquitto, per batch; an age runs from when a batch was handed over,
to the client or to Kafka, until its device has it.
"""

import argparse
import asyncio
import json
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from benchmarks.freshness import process_cpu_s
from benchmarks.storm import Mosquitto
from device_sim import topics
from device_sim.mqtt_link import MqttLink
from monitor.metrics import Metrics
from streams.bus import Producer
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import CANDIDATES
from streams.mqtt.connection import MqttSettings
from wire.claim import Claim
from wire.identity import NO_MODEL
from wire.outcome import Batches
from wire.push_headers import PushHeaders
from wire.telemetry import Ack, encode_report

PER_S = (45.0, 200.0)  # what 500 devices are sent at 1,000 events a second (`benchmarks.freshness`), and far more
BATCH_BYTES = 20_000
EXPIRY_S = 600
WARM_UP = 50  # batches
LIMIT_S = 60.0
_HEAD = struct.Struct("<qq")  # of a batch: number, and when it was handed over, by the clock that all processes share
Send = Callable[[str, int, bytes], Any]


class Row(NamedTuple):
    """One way at one rate: what came of the batches, as a newer one supersedes those of its device that still wait."""

    way: str
    per_s: float
    batches: int
    came: int
    publisher_us: float
    broker_us: float
    p50_ms: float
    p99_ms: float


class Devices:
    """They take what comes, and answer if they are told to."""

    def __init__(self, address: MqttSettings, number: int) -> None:
        self._link = MqttLink(address.host, address.port, 1, Claim("push", "b", 1), metrics=Metrics())
        self.users = [f"u{n}" for n in range(number)]
        self.answering = False
        self.ages_ms: list[float] = []
        for user_id in self.users:
            self._link.open(user_id)

    async def connected(self) -> None:
        """Wait until all are."""
        up = set[str]()
        async with asyncio.timeout(LIMIT_S):
            while len(up) < len(self.users):
                await self._link.wait(0.1)
                up |= {arrival.user_id for arrival in self._link.take() if arrival.kind == "up"}

    async def have(self, newest: Mapping[str, int]) -> None:
        """Take batches until each device has its newest, by number, which may supersede others of it."""
        self.ages_ms, awaited = [], {*newest.items()}
        async with asyncio.timeout(LIMIT_S):
            while awaited:
                await self._link.wait(0.1)
                for arrival in self._link.take():
                    if arrival.kind == "candidates":
                        awaited.discard((arrival.user_id, self._take(arrival.user_id, arrival.payload)))

    async def close(self) -> None:
        """Disconnect all."""
        await self._link.close()

    def _take(self, user_id: str, payload: bytes) -> int:
        seq, handed_ns = _HEAD.unpack_from(payload)
        self.ages_ms.append((time.monotonic_ns() - handed_ns) / 1e6)
        if self.answering:
            self._link.publish(user_id, "ack", encode_report(answer(user_id, seq)))
        return int(seq)


def answer(user_id: str, seq: int) -> Ack:
    """What a device says of a batch that it takes."""
    return Ack(
        user_id=user_id,
        boot=0,
        sequence=seq,
        answered_seq=seq,
        batches={Batches.ACCEPTED: seq + 1},
        batch_seq=seq,
        model=NO_MODEL,
        outcome=Batches.ACCEPTED,
        received_ms=0,
    )


def paced(send: Send, users: list[str], first: int, batches: int, per_s: float) -> None:
    """Hand batches over, to one device after the other, so many a second."""
    rest, began_s = bytes(np.random.default_rng(0).bytes(BATCH_BYTES - _HEAD.size)), time.monotonic()
    for n, user_id in enumerate(islice(cycle(users), batches)):
        time.sleep(max(0.0, began_s + n / per_s - time.monotonic()))
        send(user_id, first + n, _HEAD.pack(first + n, time.monotonic_ns()) + rest)


def alone(settings: MqttSettings, *pace: Any) -> float:
    """Publish by a plain client until the broker has all; returns the CPU seconds of that."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    client.connect(settings.host, settings.port)
    client.loop_start()
    began_s, sent = time.process_time(), []
    expires = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    expires.MessageExpiryInterval = EXPIRY_S

    def send(user_id: str, _: int, payload: bytes) -> None:
        sent.append(client.publish(topics.candidates(user_id), payload, qos=1, retain=True, properties=expires))

    paced(send, *pace)
    for each in sent:
        each.wait_for_publish(LIMIT_S)
    spent_s = time.process_time() - began_s
    client.disconnect()
    client.loop_stop()
    return spent_s


@cache
def producer_of(bootstrap: str) -> Producer:
    """One for all: until a new one has found its broker, what it is given waits."""
    return KafkaBus(KafkaSettings(bootstrap)).producer()


def through_kafka(bootstrap: str, *pace: Any) -> float:
    """Write the batches to Kafka, where the tunnel reads them; what that costs is the dataflow's."""
    producer = producer_of(bootstrap)

    def send(user_id: str, seq: int, payload: bytes) -> None:
        now_ms = time.time_ns() // 1_000_000
        headers = PushHeaders(seq, now_ms, now_ms, NO_MODEL.lineage, NO_MODEL.version, NO_MODEL.digest).encode()
        producer.send(CANDIDATES, user_id, payload, headers=headers)

    paced(send, *pace)
    producer.flush()
    return 0.0


class Bench:
    """Devices on one broker, and what it takes to push to them."""

    def __init__(self, broker: Mosquitto, devices: Devices, seconds: float) -> None:
        self._broker, self._devices, self._seconds = broker, devices, seconds
        self._sender = ProcessPoolExecutor(1, get_context("spawn"))  # not in the devices' process
        self._sent = 0

    async def row(self, way: str, per_s: float, send: Callable[..., float], pid: int | None = None) -> Row:
        """One way at one rate; `pid` is whose CPU counts, or the sender's own."""
        batches = round(per_s * self._seconds)
        await self._push(send, WARM_UP, per_s)
        broker_s, others_s = process_cpu_s(self._broker.pid), process_cpu_s(pid) if pid else 0.0
        own_s = await self._push(send, batches, per_s)
        publisher_s = process_cpu_s(pid) - others_s if pid else own_s
        p50_ms, p99_ms = np.quantile(self._devices.ages_ms, [0.5, 0.99]).round(1).tolist()
        publisher_us = round(1e6 * publisher_s / batches, 1)
        broker_us = round(1e6 * (process_cpu_s(self._broker.pid) - broker_s) / batches, 1)
        came = len(self._devices.ages_ms)
        counts = f"{per_s:>6g} {f'{came} of {batches}':>12}"
        print(f"{way:<9} {counts} {publisher_us:>13} {broker_us:>12} {p50_ms:>8} {p99_ms:>8}", flush=True)
        return Row(way, per_s, batches, came, publisher_us, broker_us, p50_ms, p99_ms)

    async def _push(self, send: Callable[..., float], batches: int, per_s: float) -> float:
        users = self._devices.users
        sending = self._sender.submit(send, users, self._sent, batches, per_s)
        await self._devices.have({users[n % len(users)]: self._sent + n for n in range(batches)})
        self._sent += batches
        return await asyncio.wrap_future(sending)

    def close(self) -> None:
        """End the sender."""
        self._sender.shutdown()


async def all_ways(broker: Mosquitto, bootstrap: str, given: argparse.Namespace) -> list[Row]:
    """Each way at each rate."""
    at = f"{broker.settings.host}:{broker.settings.port}"
    tunnel = subprocess.Popen([sys.executable, "-m", "streams.cli", "tunnel", "--bootstrap", bootstrap, "--mqtt", at])
    devices = Devices(broker.settings, given.devices)
    bench, rows = Bench(broker, devices, given.seconds), []
    try:
        await devices.connected()
        for per_s in given.per_s:
            devices.answering = False
            rows.append(await bench.row("alone", per_s, partial(alone, broker.settings)))
            for devices.answering, way in ((False, "tunnel"), (True, "answered")):
                rows.append(await bench.row(way, per_s, partial(through_kafka, bootstrap), tunnel.pid))
    finally:
        tunnel.terminate()
        bench.close()
        await devices.close()
        tunnel.wait()
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--per-s", type=float, nargs="+", default=PER_S)
    parser.add_argument("--seconds", type=float, default=15, help="of each way at each rate")
    parser.add_argument("--json", type=Path, help="write the results here")
    given = parser.parse_args()
    print("way        per s         came  publisher, µs   broker, µs  p50, ms  p99, ms")
    with EmbeddedKafka() as kafka, Mosquitto() as broker:
        ensure_topics(KafkaSettings(kafka.bootstrap))
        rows = asyncio.run(all_ways(broker, kafka.bootstrap, given))
    if given.json:
        given.json.write_text(json.dumps([row._asdict() for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
