"""What a device can ask for: the only outputs of `device_sim.device.Device`."""

import msgspec

from device_sim.window import Unencoded, WindowRows
from wire.batch import PackedBatch
from wire.identity import ModelId
from wire.moments import EventMs
from wire.outcome import Outcome
from wire.task import Task


class Predict(msgspec.Struct, frozen=True):
    """Predict this own event with every head, then say so with `Predicted`; nothing has learned from it yet.

    `times`, `since_s` and histories are its `models.features.Features`. `unproven`: heads are charged, not used.
    """

    seq: int
    event_id: str
    item: int
    category: int
    label: int
    timestamp: int
    times: int
    since_s: int
    history_item: bytes
    history_category: bytes
    base: float  # `models.base.NONE` for none
    unproven: bool


class WantTraining(msgspec.Struct, frozen=True):
    """The device is due for a training; give it a `TrainingSlot` when there is room."""


class Train(msgspec.Struct, frozen=True):
    """Train the personal heads on these rows (time-ordered copies) and this batch, then say so with `Trained`.

    `event_time` is how far it has come, by all that the device has seen.
    """

    rows: WindowRows
    unencoded: Unencoded
    batch: PackedBatch | None
    task: Task
    model: ModelId
    event_time: EventMs


class Forget(msgspec.Struct, frozen=True):
    """The personal heads belong to an older cloud model: predict with the cloud head until retrained."""


class Untask(msgspec.Struct, frozen=True):
    """The task was about another line of cloud models: predict without its priors and repeats until another comes."""


class Publish(msgspec.Struct, frozen=True):
    """Send `payload` up on the device's topic `leaf`: `events`, `ack`, `requests` or `telemetry`."""

    leaf: str
    payload: bytes


class Count(msgspec.Struct, frozen=True):
    """One more thing ended so: nothing is dropped uncounted."""

    outcome: Outcome


class Freshness(msgspec.Struct, frozen=True):
    """Something produced at `produced_ms` reached `stage` now."""

    stage: str
    produced_ms: int


Instruction = Predict | WantTraining | Train | Forget | Untask | Publish | Count | Freshness
