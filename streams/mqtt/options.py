"""How a command is told where the MQTT broker is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from streams.mqtt.connection import MqttSettings


@Parameter(name="*")
@dataclass(frozen=True)
class MqttOptions:
    """The same flags in every command that uses MQTT."""

    mqtt: Annotated[str, Parameter(help="The MQTT 5 broker, as host:port, or with TLS as mqtts://host:port.")] = (
        MqttSettings().address
    )
    mqtt_credentials: Annotated[
        Path | None, Parameter(help="The folder of `coda devices enrol`: certificates and passwords.")
    ] = None

    def settings(self, name: str) -> MqttSettings:
        """How whoever has this name in the folder comes to the broker; raises `InputError`."""
        return MqttSettings.parse(self.mqtt, name, self.mqtt_credentials)


LOCAL_MQTT = MqttOptions()
