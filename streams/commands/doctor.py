"""`coda doctor`: whether everything is there that the other commands need, each with what to do where it is not."""

from pathlib import Path

import msgspec

from device_sim.mqtt_credentials import TUNNEL
from streams.cli import DISTRIBUTION
from streams.doctor import servers
from streams.doctor.disk import model, on_disk
from streams.doctor.finding import looked
from streams.doctor.machine import machine
from streams.kafka.bus import KafkaBus
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.mqtt.options import LOCAL_MQTT, MqttOptions
from wire.clock import SystemClock


def command(
    *,
    kafka: KafkaOptions = LOCAL_KAFKA,
    mqtt: MqttOptions = LOCAL_MQTT,
    keys: Path = Path("runs/keys"),
    pool: Path = Path("runs/pool"),
    state: Path = Path("runs/flow-state"),
    json: bool = False,
) -> int:
    """Look at this machine, Kafka, MQTT and what is on disk: each line says ok, warn or fail, and what to do.

    Nothing is changed. Exits 1 when something fails; what only a real Kafka or MQTT broker is needed for fails without
    one, while `coda demo` and `coda evaluate` need neither. The state of a flow that runs is left alone; of one that
    does not, positions and users are read to see whether it can go on.

    Example

    ```
    coda doctor
    coda doctor --bootstrap kafka:9092 --mqtt mqtt:1883
    ```

    Args:
        keys: The folder of the signing keys.
        pool: The pool's folder, as `coda flow` has it.
        state: The flow's folder for positions and user states.
        json: Print one JSON document instead of lines.
    """
    settings = kafka.settings()
    found = machine(DISTRIBUTION)
    found += servers.kafka(settings, SystemClock().wall_ms())
    found += servers.mqtt(mqtt.settings(TUNNEL))
    if not any(each.name == "Kafka" and each.word == "fail" for each in found):
        found += looked("model", lambda: model(KafkaBus(settings), keys))
    found += on_disk(keys, pool, state)
    print(msgspec.json.encode(found).decode() if json else "\n".join(map(str, found)))
    return 1 if any(each.word == "fail" for each in found) else 0
