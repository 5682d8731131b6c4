"""Any MQTT 5 broker at an address, by paho."""

from collections.abc import Sequence

from streams.mqtt.client import MqttClient
from streams.mqtt.connection import MqttSettings


class PahoBroker:
    """The `streams.mqtt.broker.Broker` at `settings`."""

    def __init__(self, settings: MqttSettings) -> None:
        self._settings = settings

    @property
    def address(self) -> str:
        """Where it is, as `host:port`."""
        return self._settings.address

    def client(self, client_id: str, subscriptions: Sequence[str] = (), *, qos: int = 1) -> MqttClient:
        """See `MqttClient`."""
        return MqttClient(self._settings, client_id, subscriptions, qos=qos)
