"""The link: how the devices of a fleet reach the tunnel. `device_sim.mqtt_link` is the live one."""

from typing import Protocol

import msgspec

from device_sim import topics

LEAVES = {"candidates": topics.candidates, "receipts": topics.receipts}  # what each device subscribes
SHARED = {topics.MODEL: "model", topics.TASK: "task"}  # received once for the whole fleet, not 2,000 times
UPWARD = {"events": topics.events, "ack": topics.ack, "requests": topics.requests, "telemetry": topics.telemetry}


class Arrival(msgspec.Struct, frozen=True):
    """Something came over the link.

    `kind` is `up` or `down` (of the device's connection), `unheard` where the broker says that nobody listens to the
    device's events (it need not say so), `candidates` or `receipts` for one device, or `model` or `task` for all
    (`user_id` is empty then).
    """

    kind: str
    user_id: str = ""
    payload: bytes = b""


class Link(Protocol):
    """Every opened device stays connected as well as it can be, and comes back by itself.

    What is published while a device's connection is down, or is unconfirmed when it goes down, is sent again
    when it is back: at least once, in order.
    """

    def open(self, user_id: str) -> None:
        """Connect this device, now and whenever its connection is lost; also one that is unplugged."""

    def unplug(self, user_id: str) -> None:
        """Cut this device off, as if it were switched off: its last will is out, and it tries nothing until `open`."""

    def leave(self, user_id: str) -> None:
        """The device is gone for good: say so, and connect it no more. What was on its way to it may still arrive."""

    def publish(self, user_id: str, leaf: str, payload: bytes) -> None:
        """Send up on the device's topic `leaf`."""

    def take(self) -> list[Arrival]:
        """What came since the last call, in order per device."""

    async def wait(self, timeout_s: float) -> None:
        """Return when something came, or after `timeout_s`."""

    async def close(self) -> None:
        """Say goodbye for every device, once what was published is confirmed or that takes too long."""
