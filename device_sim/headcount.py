"""How many devices there are: connected, by how much was predicted for them, standing aside, without proven heads."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from device_sim.device import Device
from device_sim.lately import DEVICES, group_of
from device_sim.readiness import uses_heads
from monitor.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Headcount:
    """Of some devices: by group and whether `connected`; so many stand `aside`, and so many others train and use no
    heads, as these are `unproven`."""

    connected: Counter[tuple[str, bool]]
    aside: int
    unproven: int

    @classmethod
    def of(cls, devices: Iterable[Device]) -> "Headcount":
        """Count them."""
        connected: Counter[tuple[str, bool]] = Counter()
        aside = unproven = 0
        for device in devices:
            connected[group_of(device.usage.events), device.connected] += 1
            if device.aside.stands:
                aside += 1
            elif not uses_heads(device):
                unproven += 1
        return cls(connected, aside, unproven)

    def show(self, metrics: Metrics) -> None:
        """Tell it as metrics."""
        for group in DEVICES:
            metrics.devices.labels(group).set(self.connected[group, True] + self.connected[group, False])
            metrics.group_connected.labels(group).set(self.connected[group, True])
        metrics.devices_aside.set(self.aside)
        metrics.devices_unproven.set(self.unproven)
