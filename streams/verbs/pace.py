"""`coda pace`: tells devices when to come back, should they lose their connection."""

import sys
from pathlib import Path

from device_sim import topics
from device_sim.mqtt_credentials import TUNNEL
from streams.mqtt.client import MqttClient
from streams.mqtt.connection import MqttSettings
from wire.errors import DeliveryError, InputError
from wire.malformed import Malformed
from wire.pace import Pace, decode_pace, encode_pace

_LIMIT_S = 10.0


def command(
    *,
    mqtt: str = MqttSettings().address,
    mqtt_credentials: Path | None = None,
    wait_s: float = 0.0,
    spread_s: float = 60.0,
    lasts_s: float = 600.0,
    take_back: bool = False,
) -> None:
    """Tell devices when to come back, should they lose their connection: before a broker is restarted, say.

    A retained message that holds for `--lasts-s` on every device; the newest one counts. Devices obey within an hour.

    ```
    coda pace --mqtt 127.0.0.1:1883 --wait-s 120 --spread-s 60
    ```

    Args:
        mqtt: The MQTT 5 broker, as host:port, or with TLS as mqtts://host:port.
        mqtt_credentials: The folder of `coda devices enrol`: this command is `tunnel` there, too.
        wait_s: How long a device stays away before its first attempt.
        spread_s: Over how long devices spread their attempts, evenly.
        lasts_s: For how long this holds.
        take_back: Devices come back as they would without having been told.
    """
    raw = b"" if take_back else _checked(Pace(wait_s, spread_s, lasts_s))
    client = MqttClient(MqttSettings.parse(mqtt, TUNNEL, mqtt_credentials), "coda-pace")
    try:
        client.open()
        client.publish(topics.PACE, raw, retain=True, expiry_s=max(1, round(lasts_s)), essential=True)
        if not client.settle(_LIMIT_S):
            raise DeliveryError(f"the MQTT broker at {mqtt} has not confirmed the pace; try again")
    finally:
        client.close()
    said = "taken back" if take_back else f"wait {wait_s:g} s, spread over {spread_s:g} s, for {lasts_s:g} s"
    print(f"pace for devices of {mqtt}: {said}", file=sys.stderr)  # noqa: T201


def _checked(pace: Pace) -> bytes:
    try:
        decode_pace(raw := encode_pace(pace))
    except Malformed as error:
        raise InputError(f"--wait-s, --spread-s and --lasts-s are from 0 to 3600: {error.detail}") from None
    return raw
