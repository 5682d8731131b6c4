"""When a device has to be told that time passed; nothing is changed by asking."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from device_sim.device import Device


def wakes_ms(device: "Device") -> float:
    """Before then a `Tick` changes nothing, if nothing else comes before; infinite when only that can."""
    wakes = device.outbox.wakes_ms if device.connected else math.inf
    if device.asking.reason:
        if device.may_ask:
            wakes = min(wakes, device.asking.next_ms)
    elif device.batch is not None:
        wakes = min(wakes, device.batch_since_ms + device.batch_age_ms + 1)
    if device.stale_heads and not (device.wanting or device.busy or device.aside.stands) and device.eligible:
        wakes = min(wakes, device.hold_until_ms)
    return device.clock.wall_ms(min(wakes, device.upcoming.until_ms))
