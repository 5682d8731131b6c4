"""One device at rest: everything of it that must survive a restart, in parts that change at different paces.

Connections are not kept, and a training that ran is begun again.
"""

from operator import attrgetter
from typing import Any, Self

import msgspec

from device_sim.aside import Aside, AsideState
from device_sim.cloud_clock import CloudClock
from device_sim.device import Device
from device_sim.outbox import Outbox
from device_sim.parameters import HeadsState, Parameters, WeightsState
from device_sim.seen import Seen
from device_sim.usage import Usage, UsageState
from device_sim.window import Window, WindowState
from models.features import Known
from models.history import History
from models.interaction_log import InteractionLog
from wire.batch import PackedBatch, decode_packed, encode_packed
from wire.identity import ModelId
from wire.moments import EventMs
from wire.task import Task

Parts = dict[str, bytes]
PARTS = {"core", "window", "heads", "batch"}


class _Plain(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is the device's own under these names."""

    task: Task | None
    model: ModelId
    trained_until: int
    model_size: int
    newest_seq: int
    trained_seq: int
    wanting: bool
    new_samples: int
    produced_ms: int
    heads_bytes: int
    batch_since_ms: int
    cloud_time: EventMs
    tried: bool


class _Core(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What nearly everything changes."""

    plain: _Plain
    stale_heads: bool
    history: tuple[bytes, bytes, bytes]
    taken: tuple[int, bytes, bytes]
    seen: bytes
    outbox: dict[str, bytes]
    usage: UsageState
    aside: AsideState
    reason: str
    clock: list[int]
    weights: WeightsState


_encode, _encode_into = msgspec.msgpack.encode, msgspec.msgpack.Encoder().encode_into
_decode = msgspec.msgpack.decode
_ROOM = 32_768  # bytes for a core, 20 kB with all that is remembered; what grows there leaves holes between devices
_plain_of = attrgetter(*_Plain.__struct_fields__)


class DeviceAtRest(msgspec.Struct, frozen=True, gc=False):
    """A device as it was at one moment, whatever became of it since.

    There is nothing in it for Python's garbage collector, which would look through ten thousand of them in one go.
    """

    core: bytes
    window: WindowState
    parameters: Parameters
    batch: PackedBatch | None

    @classmethod
    def of(cls, device: Device, parameters: Parameters) -> Self:
        """The device as it is now, with these parameters: some 30 µs for one with a full window."""
        core = _Core(
            plain=_Plain(*_plain_of(device)),
            stale_heads=device.stale_heads or device.busy,
            history=device.known.history.state(),
            taken=device.known.interactions.state(),
            seen=device.seen.state(),
            outbox=device.outbox.state(),
            usage=device.usage.state(),
            aside=device.aside.state(),
            reason=device.asking.reason,
            clock=device.clock.state(),
            weights=parameters.weights_state(),
        )
        encoded = bytearray(_ROOM)
        _encode_into(core, encoded)
        return cls(bytes(encoded), device.window.state(), parameters, device.batch)

    def parts(self) -> Parts:
        """It as it is written."""
        return {
            "core": self.core,
            "window": _encode(self.window),
            "heads": _encode(self.parameters.heads_state()),
            "batch": encode_packed(self.batch) if self.batch is not None else b"",
        }


def restore_device(user_id: str, parts: Parts, sequence: int, *, uploads: bool) -> Device:
    """The device that was at rest in `parts`, offline; its reports count on from `sequence` at least."""
    core: Any = _decode(parts["core"], type=_Core)
    device = Device(user_id, uploads=uploads, usage=Usage.restore(core.usage, sequence))
    for name in _Plain.__struct_fields__:
        setattr(device, name, getattr(core.plain, name))
    task = core.plain.task or Task(task_version=0)
    window = _decode(parts["window"], type=WindowState)
    device.window = Window.restore(window, task.window_count, task.window_age_ms)
    device.known = Known.restore(
        History.restore(*core.history), InteractionLog.restore(*core.taken), EventMs(device.window.newest)
    )
    device.seen, device.outbox = Seen.restore(core.seen), Outbox.restore(core.outbox)
    device.batch = decode_packed(parts["batch"]) if parts["batch"] else None
    device.stale_heads, device.asking.reason = core.stale_heads, core.reason
    device.clock, device.aside = CloudClock(core.clock), Aside.restore(user_id, core.aside)
    device.parameters = Parameters.restore(_decode(parts["heads"], type=HeadsState), core.weights)
    return device
