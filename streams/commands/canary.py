"""`coda canary`: one request a second through everything, until interrupted."""

import secrets
import sys

import msgspec

from device_sim.mqtt_credentials import device
from monitor.metrics import Metrics
from streams.canary.device import CanaryDevice
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import probe
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.kafka.topics import STATUS
from streams.metrics_server import metrics_server
from streams.mqtt.connection import probe as probe_mqtt
from streams.mqtt.options import LOCAL_MQTT, MqttOptions
from streams.mqtt.paho_broker import PahoBroker
from streams.process.pulse import Pulse
from streams.settings import AtLeast0
from streams.stop import Stop
from wire.canary import canary_id
from wire.clock import SystemClock
from wire.status import Role


def command(
    *,
    kafka: KafkaOptions = LOCAL_KAFKA,
    mqtt: MqttOptions = LOCAL_MQTT,
    name: str = "canary",
    metrics_port: AtLeast0 = 0,
    json: bool = False,
) -> int:
    """Send a marked request once a second through Kafka, the pool's search and MQTT, and see that it comes back.

    It is the one thing to be woken for: it tells the truth while users are silent. It is no user's, and counts nowhere
    but among canaries. Among credentials it is the device ~canary/NAME; Kafka it tells how it is, and no more.

    Example

    ```
    coda canary --bootstrap 127.0.0.1:9092 --mqtt 127.0.0.1:1883 --metrics-port 9106
    ```

    Args:
        name: Tells this canary from others on the same brokers.
        metrics_port: Serve metrics on this port of 127.0.0.1; 0 serves none.
        json: Print what became of all canaries as JSON on standard output at the end.
    """
    user_id = canary_id(name)
    settings, broker = kafka.settings(), mqtt.settings(device(user_id))
    metrics = Metrics()
    with metrics_server(metrics_port, metrics.registry):
        probe(settings.bootstrap, properties=settings.properties)
        probe_mqtt(broker)
        ensure_topics(settings, [STATUS])
        clock, stop = SystemClock(), Stop()
        canary = CanaryDevice(user_id, PahoBroker(broker, metrics), clock, secrets.token_hex(4), metrics)
        print(f"canary {name}: Kafka {settings.bootstrap}, MQTT {broker.address}", file=sys.stderr)
        bus = KafkaBus(settings)
        pulse = Pulse(Role.CANARY, name, bus, clock, metrics, frontiers=lambda: [canary.flights.frontier])
        canary.open()
        try:
            with stop.listening(), pulse:
                while not stop.signal:
                    canary.step()
        finally:
            canary.close()
    flights = canary.flights
    counts = {"sent": flights.sent, "arrived": flights.arrived, "lost": flights.lost, "in_flight": flights.in_flight}
    if json:
        print(msgspec.json.encode(counts).decode())
    return stop.exit_code
