"""Any MQTT 5 broker at an address, by paho."""

from collections.abc import Sequence

from monitor.metrics import Metrics
from streams.mqtt.client import MqttClient
from streams.mqtt.connection import MqttSettings


class PahoBroker:
    """The `streams.mqtt.broker.Broker` at `settings`; what fails with it is counted."""

    def __init__(self, settings: MqttSettings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics

    @property
    def address(self) -> str:
        """Where it is, as `host:port`."""
        return self._settings.address

    def client(self, client_id: str, subscriptions: Sequence[str] = (), *, qos: int = 1) -> MqttClient:
        """See `MqttClient`."""
        return MqttClient(self._settings, self._metrics, client_id, subscriptions, qos=qos)
