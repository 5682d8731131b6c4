"""`coda fleet`: the simulated devices, until interrupted."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from device_sim.mqtt_credentials import FLEET
from device_sim.mqtt_link import MqttLink
from streams.fleet.settings import FleetSettings
from streams.fleet.shell import FleetShell, one_thread
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import DEFAULT_BOOTSTRAP, KafkaSettings
from streams.kafka.connection import probe as probe_kafka
from streams.kafka.properties import read_properties
from streams.kafka.topics import FLEET_GROUP, STATUS
from streams.metrics_server import metrics_server
from streams.mqtt.connection import MqttSettings
from streams.mqtt.connection import probe as probe_mqtt
from streams.process.lookout import Lookout
from streams.process.pulse import Pulse
from wire.claim import Claim
from wire.clock import SystemClock
from wire.durable import hold, make_folder, write_durably
from wire.errors import InputError
from wire.signing import PUBLIC
from wire.status import Role

RESULT = "result.json"
NAME = "coda-fleet"  # client ids begin with it


def command(
    *,
    own: Literal["events", "behaviour"] = "events",
    devices: str = "all",
    bootstrap: str = DEFAULT_BOOTSTRAP,
    kafka_config: Path | None = None,
    mqtt: str = MqttSettings().address,
    mqtt_credentials: Path | None = None,
    state: Path = Path("runs/fleet/state"),
    out: Path = Path("runs/fleet"),
    cloud_key: Path = Path("runs/keys") / PUBLIC,
    seed: int = 0,
    metrics_port: int = 0,
    json: bool = False,
) -> int:
    """Simulate one device per user: each learns from what its user does and from what the tunnel brings.

    Every device has an MQTT connection of its own, and every arm predicts every event before anything learns from
    it. Ctrl-C or SIGTERM ends it in order; the same --state resumes it exactly where it stood.

    ```
    coda fleet --devices 500 --state runs/mine/fleet --out runs/mine
    ```

    Args:
        own: Where a device learns what its user does: the topic `events` (the event is in Kafka already) or
            `behaviour` (the device is its origin and uploads it through the tunnel).
        devices: How many users have a device, those that do something first, or `all`.
        bootstrap: Kafka, as host:port.
        kafka_config: A file of librdkafka properties, one name=value on each line: TLS and SASL.
        mqtt: The MQTT 5 broker, as host:port, or with TLS as mqtts://host:port.
        mqtt_credentials: The folder of `coda devices enrol`: certificates and passwords, a device's own for each.
        state: Folder for snapshots, made if need be.
        out: Folder for predictions.parquet, trainings.jsonl and result.json.
        cloud_key: The public key in the folder of `coda train-cloud --keys`: models and tasks signed with
            another are refused.
        seed: Fixes training and the jitter of reconnects.
        metrics_port: Serve metrics on this port of 127.0.0.1; 0 serves none.
        json: Print the result as JSON on standard output.
    """
    settings = FleetSettings(own, _count(devices), state, out, cloud_key, seed)
    kafka, broker = (
        KafkaSettings(bootstrap, properties=read_properties(kafka_config)),
        MqttSettings.parse(mqtt, FLEET, mqtt_credentials),
    )
    with ExitStack() as held, metrics_server(metrics_port):
        probe_kafka(bootstrap, properties=kafka.properties)
        probe_mqtt(broker)
        for folder in {state.resolve(), out.resolve()}:
            make_folder(folder)
            held.enter_context(hold(folder))
        ensure_topics(kafka, [settings.topic, STATUS])
        print(f"fleet: own events from {settings.topic} at {bootstrap}, MQTT {broker.address}", file=sys.stderr)  # noqa: T201
        bus, clock = KafkaBus(kafka), SystemClock()
        lookout = Lookout(bus, clock, "predicted", FLEET_GROUP, settings.topic)
        with Pulse(Role.FLEET, NAME, bus, clock, [lookout]):
            result, stopped_by = asyncio.run(_run(settings, bus, broker))
    document = msgspec.json.format(msgspec.json.encode(result), indent=2).decode()
    write_durably(out / RESULT, document.encode() + b"\n")
    print(document if json else _line(result), file=sys.stdout if json else sys.stderr)
    return 128 + stopped_by


async def _run(settings: FleetSettings, bus: KafkaBus, broker: MqttSettings) -> tuple[dict[str, Any], int]:
    """Run until a signal; returns the result and which signal it was."""
    one_thread()
    clock = SystemClock()
    claim = Claim(NAME, secrets.token_hex(4), clock.wall_ms())
    link = MqttLink(broker.host, broker.port, settings.seed, claim, broker.keyring)
    fleet = FleetShell(settings, bus, link, clock)
    with _signals((signal.SIGINT, signal.SIGTERM), fleet.stop) as caught:
        result = await fleet.run()
    return result, caught[0]


@contextmanager
def _signals(numbers: Sequence[signal.Signals], stop: Any) -> Any:
    """Call `stop` on the first of these signals, on the loop, and end at once on a second one.

    The yielded list gets the first one's number.
    """
    loop = asyncio.get_running_loop()
    caught: list[int] = []

    def hear(number: int) -> None:
        if caught:
            print("fleet: ended at once; it goes on from its last snapshot", file=sys.stderr)  # noqa: T201
            os._exit(128 + number)
        caught.append(number)
        stop()

    for number in numbers:
        loop.add_signal_handler(number, hear, number)
    try:
        yield caught
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _count(devices: str) -> int | None:
    if devices == "all":
        return None
    if not devices.isdecimal() or int(devices) < 1:
        raise InputError(f"--devices is {devices!r}: give a number of at least 1, or `all`")
    return int(devices)


def _line(result: dict[str, Any]) -> str:
    arms = ", ".join(f"{arm} {_figure(row['gauc'])}" for arm, row in result["arms"].items())
    if not result["events"]:
        return "fleet: no event was predicted: the cloud model had learned from all that came, or none came"
    return f"fleet: {result['devices']} devices, {result['events']} events predicted by every arm; GAUC: {arms}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
