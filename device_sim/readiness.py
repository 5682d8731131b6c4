"""When a device is to train, use its heads, ask for a batch, or be told that time passed; looking changes nothing."""

import math
from typing import TYPE_CHECKING

from wire.moments import WallMs
from wire.telemetry import ASIDE

if TYPE_CHECKING:
    from device_sim.device import Device

# A connected device expects a batch: its samples make the cloud match, and so does its request after a change of
# models. Training before the batch is there would mean training twice, so it trains without one only after so
# many times `retrain_every` samples (the cloud matches after 20, twice the default), or so long after the change.
PATIENCE = 3
BATCH_WAIT_MS = 10_000
_OUTSIDE_ARMS = {"random", "coarse", "mpda", "coda"}


def reason_to_train(device: "Device", now_ms: WallMs) -> bool:
    """Whether there is a fresh batch, a new cloud model, or enough new samples."""
    task = device.task
    if task is None or device.version == 0 or device.busy or device.aside.stands:
        return False
    if device.batch is not None and device.batch.batch_seq > device.trained_seq:
        return True
    expects_batch = device.connected and bool(_OUTSIDE_ARMS & set(task.arms))
    if device.stale_heads and not (expects_batch and now_ms < device.hold_until_ms):
        return True
    return device.new_samples >= (PATIENCE if expects_batch else 1) * task.retrain_every


def uses_heads(device: "Device") -> bool:
    """Whether personal heads predict, once they are trained: they are proven, and it does not stand aside."""
    return device.task is not None and device.aside.proven(device.task.proven)


def outdated_batch(device: "Device", now_ms: WallMs) -> bool:
    """Whether a fresh batch is worth asking for."""
    # One that was made later than now is from before a restart and before the clock was set back.
    return device.batch is not None and not 0 <= now_ms - device.batch_since_ms <= _batch_age_ms(device)


def may_ask(device: "Device") -> bool:
    """Whether there is something to ask for that the device can use, and somebody to ask."""
    reason = device.asking.reason
    return bool(reason) and device.connected and (device.eligible or reason == ASIDE)


def wakes_ms(device: "Device") -> float:
    """Before then a `Tick` changes nothing, if nothing else comes before; infinite when only that can."""
    wakes = device.outbox.wakes_ms if device.connected else math.inf
    if device.asking.reason:
        if may_ask(device):
            wakes = min(wakes, device.asking.next_ms)
    elif device.batch is not None:
        wakes = min(wakes, device.batch_since_ms + _batch_age_ms(device) + 1)
    if device.stale_heads and not (device.wanting or device.busy or device.aside.stands) and device.eligible:
        wakes = min(wakes, device.hold_until_ms)
    return device.clock.wall_ms(min(wakes, device.upcoming.until_ms))


def _batch_age_ms(device: "Device") -> float:
    """How old a batch may get: an idle device can wait."""
    if device.task is None:
        return math.inf
    return device.task.candidate_age_ms if device.new_samples else device.task.idle_age_ms
