"""What `coda fleet` was told, as its processes get it: light to import, for those that only start them."""

from pathlib import Path
from typing import Any

import msgspec

from device_sim.mqtt_credentials import FLEET
from device_sim.one_of import OneOf
from streams.base.names import Base
from streams.fleet.drop import Drop
from streams.fleet.orders import EVERYONE, OrderFile, Orders, Standing, begun
from streams.fleet.settings import FleetSettings, Own
from streams.kafka.connection import KafkaSettings
from streams.kafka.options import KafkaOptions
from streams.mqtt.connection import MqttSettings
from streams.mqtt.options import MqttOptions
from wire.claim import Claim

NAME = "coda-fleet"  # client ids begin with it


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, for all `processes` together; paths are absolute, and "" is none.

    `people` is the table of a population and where it was found, `drop` the share that is cut off for `lasts_s`.
    `boot` and `started_ms` are of the run: all processes have one claim, and one beginning of a population's time.
    """

    bootstrap: str
    kafka_config: str
    mqtt: str
    mqtt_credentials: str
    own: Own
    devices: int | None
    processes: int
    state: str
    out: str
    base: Base
    cloud_key: str
    seed: int
    people: tuple[dict[str, Any], str] | None
    drop: float | None
    lasts_s: float
    orders: str
    metrics_port: int
    boot: str
    started_ms: int

    @property
    def kafka(self) -> KafkaSettings:
        """Where Kafka is; raises `InputError`."""
        return KafkaOptions(self.bootstrap, _path(self.kafka_config)).settings()

    @property
    def broker(self) -> MqttSettings:
        """Where the MQTT broker is; raises `InputError`."""
        return MqttOptions(self.mqtt, _path(self.mqtt_credentials)).settings(FLEET)

    @property
    def out_folder(self) -> Path:
        """Where the whole fleet's result goes."""
        return Path(self.out)

    @property
    def claim(self) -> Claim:
        """Of the name, by this run."""
        return Claim(NAME, self.boot, self.started_ms)

    def who_is_there(self) -> Orders:
        """Who of the devices is there; raises `InputError`."""
        if self.drop is not None:
            return Drop(self.drop, self.lasts_s, self.seed)
        if self.people is not None:
            return Standing([begun(*self.people, self.seed, self.started_ms)])
        return OrderFile(Path(self.orders)) if self.orders else EVERYONE

    def settings(self, one_of: OneOf) -> FleetSettings:
        """Those of one of the processes; raises `InputError`."""
        return FleetSettings(
            own=self.own,
            devices=None if self.devices is None else one_of.part(self.devices),
            state=one_of.folder(Path(self.state)),
            out=one_of.folder(Path(self.out)),
            cloud_key=Path(self.cloud_key),
            seed=self.seed,
            orders=self.who_is_there(),
            base=self.base,
            one_of=one_of,
        )


def _path(place: str) -> Path | None:
    return Path(place) if place else None
