"""What can happen to a device: the only inputs of `device_sim.device.Device`."""

import msgspec

from wire.arrays import F32, F64, I64
from wire.event import Event
from wire.identity import ModelId
from wire.task import Task


class OwnEvent(msgspec.Struct, frozen=True):
    """The device's user did something; `produced_ms` is the wall clock when that entered the system."""

    event: Event
    produced_ms: int


class Predicted(msgspec.Struct, frozen=True):
    """Every head predicted one own event: what base or cloud `model` expected (`logit`), each head's log-loss, what the
    event teaches the fleet (`models.evidence`), and for each arm residual and lean (`models.gain`).

    `losses` (heads,), `evidence` (EVIDENCE,), `residuals` and `leans` (arms,); `seq` names the row of the window.
    """

    seq: int
    model: ModelId
    logit: float
    losses: F64
    evidence: F64
    residuals: F64
    leans: F64


class Connected(msgspec.Struct, frozen=True):
    """The link is up and the device's topics are subscribed."""


class LinkLost(msgspec.Struct, frozen=True):
    """The link is down; nothing published until `Connected` arrives anywhere."""


class Unheard(msgspec.Struct, frozen=True):
    """The broker took an own event for which nobody listens: it is lost, and the link is up."""


class BatchArrived(msgspec.Struct, frozen=True):
    """A candidate batch came down, as bytes: it may be malformed, old, or of another version."""

    raw: bytes


class ModelArrived(msgspec.Struct, frozen=True):
    """The cloud model came down, already checked; it learned from samples up to `trained_until` (event time), and
    takes the place of the lineages that it `replaces`."""

    model: ModelId
    trained_until: int
    size: int
    replaces: tuple[str, ...] = ()


class TaskArrived(msgspec.Struct, frozen=True):
    """A task document came down, its signature already checked."""

    task: Task
    size: int


class ReceiptArrived(msgspec.Struct, frozen=True):
    """Kafka has these events of ours."""

    event_ids: tuple[str, ...]
    size: int


class TrainingSlot(msgspec.Struct, frozen=True):
    """The fleet has room to train this device now (on a phone: it is charging and idle)."""


class Trained(msgspec.Struct, frozen=True):
    """A training asked for by `Train` is done.

    `accepted` says per trained head whether it passed the acceptance test; `seqs` (n,) and `logits` (n,)
    are window rows that had to be encoded for it; `heads_bytes` is what the personal heads occupy.
    """

    model: ModelId
    accepted: dict[str, bool]
    compute_ms: float
    heads_bytes: int
    seqs: I64
    logits: F32


class TrainingFailed(msgspec.Struct, frozen=True):
    """A training asked for by `Train` raised an error: its batch, if it had one, is not to be trained on again."""


class Tick(msgspec.Struct, frozen=True):
    """Time passed: repeat what was never answered."""


Stimulus = (
    OwnEvent
    | Predicted
    | Connected
    | LinkLost
    | Unheard
    | BatchArrived
    | ModelArrived
    | TaskArrived
    | ReceiptArrived
    | TrainingSlot
    | Trained
    | TrainingFailed
    | Tick
)
