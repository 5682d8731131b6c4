"""A fleet at rest: everything that must survive a restart, in one document (MessagePack) beside the cloud models.

What the document holds was true at one moment; whoever keeps stream positions keeps them in the same document, so
that a resumed fleet reads on exactly where this one stood. Connections are not kept, and a training that ran is
begun again.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from xxhash import xxh3_128_digest

from device_sim.cloud_clock import CloudClock
from device_sim.device import Device
from device_sim.fleet import Fleet
from device_sim.outbox import Outbox
from device_sim.seen import Seen
from device_sim.usage import Usage, UsageState
from device_sim.window import Window, WindowState
from models.artefact import load_model, save_model
from models.blend import HEADS, PERSONAL
from models.cloud_model import DIM, CloudModel
from models.features import Known
from models.heads import Heads
from models.history import History
from models.taken import Taken
from wire.arrays import I64
from wire.candidates import decode_batch
from wire.durable import as_storage_error, make_folder, write_durably
from wire.errors import ArtefactError, InputError
from wire.identity import ModelId
from wire.moments import EventMs
from wire.task import Task

FORMAT = "coda-fleet-11"
_FILE, _MODELS = "fleet.msgpack", "models"
REPORTS = 1 << 20  # more than a device sends in one run, at one a second in twelve days
_DIGEST_BYTES = 16  # after the document: any damage shows before anything is believed


class DeviceState(msgspec.Struct, frozen=True, array_like=True):
    """One device at rest."""

    user_id: str
    window: WindowState
    history: tuple[list[int], bytes, bytes]
    taken: tuple[int, bytes, bytes]
    seen: bytes
    outbox: dict[str, bytes]
    task: Task | None
    model: ModelId
    trained_until: int
    model_size: int
    batch: bytes
    newest_seq: int
    trained_seq: int
    wanting: bool
    stale_heads: bool
    new_samples: int
    produced_ms: int
    heads_bytes: int
    usage: UsageState
    reason: str
    clock: list[int]
    batch_since_ms: int
    cloud_time: EventMs


class HeadsState(msgspec.Struct, frozen=True, array_like=True):
    """The personal heads in use: rows of the bank that devices will have, and their arrays as little-endian bytes."""

    rows: bytes
    taste: bytes
    bias_keys: bytes
    bias_values: bytes


class FleetState(msgspec.Struct, frozen=True):
    """A fleet at rest. `positions` are the caller's: the offset that comes next, per partition."""

    format: str
    uploads: bool
    boot: int
    sequence: int
    devices: list[DeviceState]
    wanting: list[str]
    heads: HeadsState | None
    blend_loss: bytes
    level: bytes
    model_size: int
    task: Task | None
    task_size: int
    counts: list[tuple[str, str, int]]
    positions: dict[str, dict[int, int]]
    recorded: dict[str, int]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(FleetState)


def fleet_state(fleet: Fleet, positions: dict[str, dict[int, int]], recorded: dict[str, int]) -> FleetState:
    """The fleet as it is now; `positions` per topic and partition, `recorded` how far its records are written."""
    bank, slots = fleet.bank, _slots(fleet)
    return FleetState(
        format=FORMAT,
        uploads=fleet.uploads,
        boot=fleet.boot,
        sequence=fleet.sequence,
        devices=[_device_state(device) for device in fleet.devices.values()],
        wanting=fleet.wanting,
        heads=_heads_state(fleet),
        blend_loss=bank.blend.loss[slots].tobytes(),
        level=bank.level.state[slots].tobytes(),
        model_size=fleet.model_size,
        task=fleet.task,
        task_size=fleet.task_size,
        counts=[(what, outcome, n) for (what, outcome), n in fleet.counts.items()],
        positions=positions,
        recorded=recorded,
    )


def write_state(state: FleetState, models: Mapping[int, CloudModel], folder: Path) -> None:
    """Put the state and the models its devices use on disk, all of it or nothing; models of before are deleted.

    Raises `StorageError`.
    """
    make_folder(folder / _MODELS)
    for version, model in models.items():
        if not _model_place(folder, version).exists():
            save_model(model, _model_place(folder, version))
    document = _encoder.encode(state)
    write_durably(folder / _FILE, document + _digest(document))
    for version in _models_in(folder):
        if version not in models:
            shutil.rmtree(_model_place(folder, version))


def read_state(folder: Path) -> FleetState | None:
    """The state in `folder`, None when there is none; raises `InputError` when it cannot be used."""
    path = folder / _FILE
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise as_storage_error(error, path) from error
    document, digest = raw[:-_DIGEST_BYTES], raw[-_DIGEST_BYTES:]
    if digest != _digest(document):
        raise InputError(
            f"{path} is damaged, or no fleet state of this version: put it back from a copy, or give another --state "
            "and --out, and devices start anew"
        )
    state = _decoder.decode(document)
    if state.format != FORMAT:
        raise InputError(
            f"{path} has format {state.format!r}, this code reads {FORMAT!r}: give another --state and --out"
        )
    return state


def restore_fleet(state: FleetState, folder: Path, seed: int, now_ms: int) -> Fleet:
    """The fleet that was at rest in `state`, all its devices offline; raises `InputError` for damaged models.

    What it reports is newer than what a fleet reported that went on from `state` before and was killed, if the caller
    writes its state before anything goes up; by the wall clock `now_ms` also where `state` is an old copy.
    """
    fleet = Fleet(uploads=state.uploads, seed=seed, boot=state.boot, sequence=max(state.sequence + REPORTS, now_ms))
    versions = sorted(_models_in(folder) | {device.model.version for device in state.devices if device.model.version})
    try:
        fleet.bank.models = {version: load_model(_model_place(folder, version)) for version in versions}
    except ArtefactError as error:
        raise InputError(
            f"the fleet state in {folder} cannot be used ({error}): put it back from a copy, or give another --state "
            "and --out, and devices start anew"
        ) from error
    fleet.model = fleet.bank.models[versions[-1]] if versions else None
    fleet.model_size, fleet.task, fleet.task_size = state.model_size, state.task, state.task_size
    fleet.counts.update({(what, outcome): n for what, outcome, n in state.counts})
    for device in state.devices:
        fleet.adopt(_restore_device(device, fleet.sequence, uploads=state.uploads))
    fleet.wanting = state.wanting
    fleet.bank.blend.loss[: fleet.bank.slots] = np.frombuffer(state.blend_loss).reshape(-1, len(HEADS))
    levels = fleet.bank.level.state
    levels[: fleet.bank.slots] = np.frombuffer(state.level).reshape(-1, levels.shape[1])
    if state.heads is not None:
        _restore_heads(fleet, state.heads)
    fleet.bank.drop_models({device.version for device in fleet.devices.values()})
    return fleet


def _model_place(folder: Path, version: int) -> Path:
    return folder / _MODELS / str(version)


def _models_in(folder: Path) -> set[int]:
    return {int(place.name) for place in (folder / _MODELS).glob("*") if place.name.isdecimal()}


def _digest(document: bytes) -> bytes:
    return xxh3_128_digest(document)


def _slots(fleet: Fleet) -> I64:
    """The devices' slots, in the order in which they are at rest: that of their slots when they come back."""
    return np.fromiter((fleet.slots[user_id] for user_id in fleet.devices), np.int64, len(fleet.devices))


def _device_state(device: Device) -> DeviceState:
    return DeviceState(
        user_id=device.user_id,
        window=device.window.state(),
        history=device.known.history.state(),
        taken=device.known.taken.state(),
        seen=device.seen.state(),
        outbox=device.outbox.state(),
        task=device.task,
        model=device.model,
        trained_until=device.trained_until,
        model_size=device.model_size,
        batch=device.batch_at_rest,
        newest_seq=device.newest_seq,
        trained_seq=device.trained_seq,
        wanting=device.wanting,
        stale_heads=device.stale_heads or device.busy,
        new_samples=device.new_samples,
        produced_ms=device.produced_ms,
        heads_bytes=device.heads_bytes,
        usage=device.usage.state(),
        reason=device.asking.reason,
        clock=device.clock.state(),
        batch_since_ms=device.batch_since_ms,
        cloud_time=device.cloud_time,
    )


def _restore_device(state: DeviceState, sequence: int, *, uploads: bool) -> Device:
    device = Device(state.user_id, DIM, uploads=uploads, usage=Usage.restore(state.usage, sequence))
    task = state.task or Task(task_version=0)
    device.window = Window.restore(state.window, DIM, task.window_count, task.window_age_ms)
    device.known = Known.restore(
        History.restore(*state.history), Taken.restore(*state.taken), EventMs(device.window.newest)
    )
    device.seen, device.outbox = Seen.restore(state.seen), Outbox.restore(state.outbox)
    device.task, device.model, device.trained_until = state.task, state.model, state.trained_until
    device.model_size, device.heads_bytes = state.model_size, state.heads_bytes
    device.batch = decode_batch(state.batch) if state.batch else None
    device.newest_seq, device.trained_seq = state.newest_seq, state.trained_seq
    device.wanting, device.stale_heads = state.wanting, state.stale_heads
    device.new_samples, device.produced_ms = state.new_samples, state.produced_ms
    device.asking.reason = state.reason
    device.clock = CloudClock(state.clock)
    device.batch_since_ms, device.cloud_time = state.batch_since_ms, state.cloud_time
    return device


def _heads_state(fleet: Fleet) -> HeadsState | None:
    bank = fleet.bank
    if bank.heads is None:
        return None
    slots = _slots(fleet)
    place, head = np.nonzero(bank.personal[slots])
    heads = bank.heads.take(slots[place] * len(PERSONAL) + head)
    rows = place * len(PERSONAL) + head
    return HeadsState(*(a.tobytes() for a in (rows, heads.taste, heads.bias_keys, heads.bias_values)))


def _restore_heads(fleet: Fleet, state: HeadsState) -> None:
    rows = np.frombuffer(state.rows, np.int64)
    if not len(rows):
        return
    taste = np.frombuffer(state.taste, np.float32).reshape(len(rows), DIM)
    keys = np.frombuffer(state.bias_keys, np.uint64).reshape(len(rows), -1)
    values = np.frombuffer(state.bias_values, np.float32).reshape(keys.shape)
    fleet.bank.keep(rows // len(PERSONAL), rows % len(PERSONAL), Heads(taste, keys, values))
