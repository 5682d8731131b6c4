"""`coda pace`: tells devices when to come back, should they lose their connection."""

import sys

from device_sim import topics
from device_sim.mqtt_credentials import TUNNEL
from monitor.metrics import Metrics
from streams.mqtt.client import MqttClient
from streams.mqtt.options import LOCAL_MQTT, MqttOptions
from streams.settings import Span
from streams.times import Duration
from wire.errors import DeliveryError, InputError
from wire.malformed import Malformed
from wire.pace import Pace, decode_pace, encode_pace

_LIMIT_S = 10.0


def command(
    *,
    mqtt: MqttOptions = LOCAL_MQTT,
    wait: Span = Duration.parse("0s"),
    spread: Span = Duration.parse("60s"),
    lasts: Span = Duration.parse("10m"),
    take_back: bool = False,
) -> None:
    """Tell devices when to come back, should they lose their connection: before a broker is restarted, say.

    A retained message that holds for `--lasts` on every device; the newest one counts. Devices obey within an hour.
    Among credentials this command is `tunnel`.

    Example

    ```
    coda pace --mqtt 127.0.0.1:1883 --wait 2m --spread 60s
    ```

    Args:
        wait: How long a device stays away before its first attempt.
        spread: Over how long devices spread their attempts, evenly.
        lasts: For how long this holds.
        take_back: Devices come back as they would without having been told.
    """
    raw = b"" if take_back else _checked(Pace(wait.s, spread.s, lasts.s))
    broker = mqtt.settings(TUNNEL)
    client = MqttClient(broker, Metrics(), "coda-pace")
    try:
        client.open()
        client.publish(topics.PACE, raw, retain=True, expiry_s=max(1, round(lasts.s)), essential=True)
        if not client.settle(_LIMIT_S):
            raise DeliveryError(f"the MQTT broker at {broker.address} has not confirmed the pace; try again")
    finally:
        client.close()
    said = "taken back" if take_back else f"wait {wait}, spread over {spread}, for {lasts}"
    print(f"pace for devices of {broker.address}: {said}", file=sys.stderr)


def _checked(pace: Pace) -> bytes:
    try:
        decode_pace(raw := encode_pace(pace))
    except Malformed as error:
        raise InputError(f"--wait, --spread and --lasts are from 0s to 1h: {error.detail}") from None
    return raw
