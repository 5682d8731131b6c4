"""What a fleet runs on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from device_sim.one_of import ALONE, OneOf
from streams.base.names import STALE, Base
from streams.fleet.orders import EVERYONE, Orders
from streams.kafka.topics import BEHAVIOUR, EVENTS

Own = Literal["events", "behaviour"]
TOPIC_OF: dict[Own, str] = {"events": EVENTS, "behaviour": BEHAVIOUR}


@dataclass(frozen=True)
class FleetSettings:
    """Where own events come from, who has a device (None: everyone; else the first so many users that do something),
    the folders of state and records, and the public key of models and tasks. `orders` say who of them is
    there, `base` which model's bases events bring (`STALE`: none, and devices add to the cloud model). Of several
    processes this is `one_of` them: `devices` and folders are its own.
    """

    own: Own
    devices: int | None
    state: Path
    out: Path
    cloud_key: Path
    seed: int
    orders: Orders = EVERYONE
    base: Base = STALE
    one_of: OneOf = ALONE

    @property
    def topic(self) -> str:
        """Where own events come from."""
        return TOPIC_OF[self.own]

    @property
    def uploads(self) -> bool:
        """Whether devices are the origin of their events, and upload them."""
        return self.own == "behaviour"
