"""`coda tunnel`: Kafka to MQTT and back, until interrupted."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from device_sim.mqtt_credentials import TUNNEL
from monitor.metrics import Metrics
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import probe
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.kafka.topics import CANDIDATES, TUNNEL_GROUP
from streams.metrics_server import metrics_server
from streams.mqtt.options import LOCAL_MQTT, MqttOptions
from streams.mqtt.paho_broker import PahoBroker
from streams.process.lookout import Lookout
from streams.process.pulse import Pulse
from streams.settings import AtLeast0, SomeTime, Span
from streams.times import Duration
from streams.tunnel.allowance import DEFAULT, Rate
from streams.tunnel.tunnel import DRAIN_S, EXPIRY_MS, Tunnel
from wire.clock import SystemClock
from wire.durable import make_folder, write_durably
from wire.signing import load_public_key
from wire.status import Role

_EXPIRY, _DRAIN = Duration(EXPIRY_MS / 1000), Duration(DRAIN_S)


def command(
    *,
    kafka: KafkaOptions = LOCAL_KAFKA,
    mqtt: MqttOptions = LOCAL_MQTT,
    name: str = "tunnel",
    expiry: SomeTime = _EXPIRY,
    drain: Span = _DRAIN,
    cloud_key: Path | None = None,
    device_kib_per_s: float = DEFAULT.kib_per_s,
    device_burst_kib: float = DEFAULT.burst_kib,
    ledger_out: Path | None = None,
    metrics_port: AtLeast0 = 0,
    json: bool = False,
) -> None:
    """Carry candidate batches, models and tasks down to devices, and their events and reports up, until interrupted.

    Ctrl-C or SIGTERM finishes what is on its way first. Several tunnels share the load: start each with a --name
    of its own.

    Example

    ```
    coda tunnel --bootstrap 127.0.0.1:9092 --mqtt 127.0.0.1:1883 --ledger-out ledger.json
    ```

    Args:
        name: Tells this tunnel from others on the same brokers; keep it over restarts.
        expiry: Freshness budget: a batch that is older when it could be delivered is not delivered.
        drain: At the end, how long to wait for devices to answer the last pushes.
        cloud_key: The public key in the folder of `coda train-cloud --keys`: models and tasks signed with another are
            not passed on. Without it devices, which refuse them, may be left with nothing retained that they can use.
        device_kib_per_s: What one device may send up in the long run, a message counting 512 bytes more than it has.
            What is beyond is dropped and counted; the device sends its events again later.
        device_burst_kib: What it may send at once, as after a time without a link; an outbox that is full takes 3,500.
        ledger_out: A file for the final counts (JSON): what became of every push, what came up.
        metrics_port: Serve metrics on this port of 127.0.0.1; 0 serves none.
        json: Print the final counts as JSON on standard output.
    """
    settings, broker = kafka.settings(), mqtt.settings(TUNNEL)
    public = load_public_key(cloud_key) if cloud_key else None
    rate = Rate(device_kib_per_s, device_burst_kib).checked()
    if ledger_out is not None:  # now, and not when there is something to write into it
        make_folder(ledger_out.parent)
    metrics = Metrics()
    with metrics_server(metrics_port, metrics.registry):
        probe(settings.bootstrap, properties=settings.properties)
        ensure_topics(settings)
        bus, clock = KafkaBus(settings), SystemClock()
        tunnel = Tunnel(
            bus,
            PahoBroker(broker, metrics),
            clock,
            metrics=metrics,
            name=name,
            expiry_ms=expiry.ms,
            drain_s=drain.s,
            public=public,
            rate=rate,
        )
        started = False
        try:
            lookout = Lookout(bus, clock, metrics, stage="tunnelled", group=TUNNEL_GROUP, topic=CANDIDATES)
            pulse = Pulse(
                Role.TUNNEL, name, bus, clock, metrics, lookouts=[lookout], frontiers=lambda: tunnel.frontiers
            )
            with pulse, tunnel:
                started = True
                print(f"tunnel {name}: Kafka {settings.bootstrap} <-> MQTT {broker.address}", file=sys.stderr)
                tunnel.wait()
        finally:
            if started:
                _report(tunnel.summary(), ledger_out, json)


def _report(summary: dict[str, Any], ledger_out: Path | None, as_json: bool) -> None:
    document = msgspec.json.encode(summary).decode()
    if ledger_out is not None:
        write_durably(ledger_out, document.encode() + b"\n")
    if as_json:
        print(document)
