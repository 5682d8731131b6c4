"""One message of every kind, as a value and as the bytes in `golden/`: `python -m tests.wire.messages` writes them."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wire.batch import decode_batch, encode_batch
from wire.candidates import CandidateBatch, Candidates, no_candidates
from wire.claim import Claim, decode_claim, encode_claim
from wire.dead_letter import DeadLetter, Origin
from wire.event import Event, decode_event, encode_event
from wire.identity import NO_MODEL, ModelId
from wire.model import Manifest, ModelMessage, body_of, decode_model, encode_model, sealed
from wire.outcome import Batches, Trainings
from wire.pace import Pace, decode_pace, encode_pace
from wire.push_headers import PushHeaders
from wire.reason import Reason
from wire.sample import SampleRecord, decode_record, encode_record
from wire.signing import open_model, open_task, sign_model, sign_task
from wire.status import Frontier, Role, Status, decode_status, encode_status
from wire.task import Task, decode_task, encode_task
from wire.telemetry import (
    Ack,
    Gain,
    MatchRequest,
    Presence,
    Receipt,
    Training,
    decode_receipt,
    decode_report,
    encode_report,
)
from wire.trace import TraceStep, decode_step, encode_step

GOLDEN = Path(__file__).parent / "golden"
MODEL = ModelId("0123456789abcdef", 3, "fedcba9876543210")
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key()
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(32))


@dataclass(frozen=True)
class Message:
    """`value` travels as `encode(value)`; `decode` reads it, and is total."""

    file: str
    value: Any
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]

    @property
    def golden(self) -> bytes:
        """The bytes that every implementation must write, or read as `value`."""
        return (GOLDEN / self.file).read_bytes()


def _candidates(n: int) -> Candidates:
    keys = np.arange(1, n + 1, dtype=np.uint32)
    ones = np.arange(n, dtype=np.uint8) % 2
    return Candidates(np.linspace(-2, 1, n).astype(np.float16), keys * 1000, keys, ones, ones * 3, keys * 64 - 1)


def _batch() -> CandidateBatch:
    similarity = (np.array([95, 64, -32]) / 127).astype(np.float16)
    moments = {"query_timestamp": 1_700_000_000_000, "produced_ms": 1_800_000_000_000, "matched_ms": 1_800_000_000_042}
    return CandidateBatch(
        "ann/ü", 7, MODEL, **moments, matched=_candidates(3), similarity=similarity, random=_candidates(2)
    )


def _not_finite() -> CandidateBatch:
    return replace(_batch(), similarity=np.array([np.nan, 0, 0], np.float16))


def _model() -> tuple[Manifest, dict[str, Any]]:
    manifest = Manifest(MODEL.lineage, 3, 1_700_000_000_000, {"dim": 2}, {"train_log_loss": 0.5}, ("00000000000000aa",))
    return manifest, {"items": np.array([[0.5, -1], [2, 3]], np.float16), "item_keys": np.array([9], np.uint32)}


_EVENT = Event("e-1", "ann/ü", "i1", "c1", "click", 1, 1_700_000_000_000, {"device": "phone", "position": 3}, -1.5)
_HISTORY = np.array([7, 5, 7], "<u4").tobytes()
_STANDING: dict[str, Any] = {
    "user_id": "ann/ü",
    "boot": 1_799_000_000_000,
    "sequence": 12,
    "answered_seq": 7,
    "batches": {Batches.ACCEPTED: 6, Batches.WRONG_MODEL: 1},
}
_ACK = Ack(**_STANDING, batch_seq=7, model=MODEL, outcome=Batches.ACCEPTED, received_ms=1_800_000_000_100)
_TRAINING = Training(
    **_STANDING,
    model=MODEL,
    trained_seq=7,
    reported_ms=1_800_000_000_500,
    bytes_up=100,
    bytes_down=54_000,
    bytes_stored=400_000,
    trainings={Trainings.ACCEPTED: 5, Trainings.ROLLED_BACK: 1},
    compute_ms=12.5,
    passed={"local": 5, "coda": 3},
    events=10,
    head_log_loss={"cloud": 6.5, "local": 6.25},
    gain=Gain(events=8, nats=0.25, squares=0.5),
    evidence=np.arange(23, dtype="<f8").tobytes(),
)

_STEP = TraceStep(
    trace="186d876e14390aec",
    user_id="",
    step="taken",
    since_ms=1_800_000_000_000,
    at_ms=1_800_000_003_000,
    what="bob took batch 7",
    device="bob",
    batch_seq=7,
)
_STATUS = Status(
    role=Role.FLOW,
    name="0",
    boot=1_800_000_000_000,
    sequence=12,
    said_ms=1_800_000_012_000,
    values={"coda_samples_pooled_total": {"": 40}, "coda_events_rejected_total": {"reason=late": 2}},
    age_bounds_s=(0.1, 1),
    ages={"pooled": (30, 9, 1)},
    frontiers=(Frontier("pooled", 3, 42, 45, 1_800_000_011_000, 1_700_000_000_000),),
    warnings=("waiting for the first cloud model",),
)
_SAMPLE = SampleRecord(11, 12, 13, 14, 1, 2, 1_700_000_000_000, 1_800_000_000_000, _HISTORY, _HISTORY, -1.5)
_EMPTY = CandidateBatch("ann", 0, NO_MODEL, 0, 0, 0, no_candidates(), np.zeros(0, np.float16), no_candidates())


def _read_model(raw: bytes) -> tuple[Manifest, Any]:
    message = decode_model(raw)
    return message.manifest, message.tensors


def _read_signed_model(raw: bytes) -> tuple[Manifest, Any]:
    return _read_model(open_model(raw, PUBLIC))


def _open(raw: bytes) -> Task:
    return open_task(raw, PUBLIC)


def _sign(task: Task) -> bytes:
    return sign_task(task, PRIVATE)


MESSAGES = [
    Message("event.json", _EVENT, encode_event, decode_event),
    Message("sample.msgpack", _SAMPLE, encode_record, decode_record),
    Message("batch.msgpack", _batch(), encode_batch, decode_batch),
    Message("batch_empty.msgpack", _EMPTY, encode_batch, decode_batch),
    Message("model.bin", _model(), lambda model: encode_model(*model), _read_model),
    Message(
        "model_signed.msgpack",
        _model(),
        lambda model: sign_model(encode_model(*model), PRIVATE),
        _read_signed_model,
    ),
    Message(
        "task.json",
        Task(task_version=4, lineage=MODEL.lineage, head_prior={"cloud": -0.5}, variances={"category": 0.25}),
        encode_task,
        decode_task,
    ),
    Message("task_signed.msgpack", Task(task_version=4), _sign, _open),
    Message("ack.json", _ACK, encode_report, decode_report),
    Message("training.json", _TRAINING, encode_report, decode_report),
    Message("request.json", MatchRequest("ann/ü", "connected", 1_800_000_000_000), encode_report, decode_report),
    Message("presence.json", Presence("ann/ü", False), encode_report, decode_report),
    Message("claim.json", Claim("fleet", "b-1", 1_800_000_000_000), encode_claim, decode_claim),
    Message("pace.json", Pace(60.0, 120.5, 600.0), encode_pace, decode_pace),
    Message("status.json", _STATUS, encode_status, decode_status),
    Message("trace.json", _STEP, encode_step, decode_step),
    Message("receipt.json", Receipt(("e-1", "e-2")), encode_report, decode_receipt),
]


def _read_sealed(raw: bytes) -> ModelMessage:
    """A model whose digest fits whatever its bytes are: what is behind it has to stand alone."""
    return decode_model(sealed(body_of(raw)))


def _read_zipped(raw: bytes) -> CandidateBatch:
    """A batch whose columns are whatever bytes: what is behind the compression has to stand alone."""
    fields = msgspec.msgpack.decode(encode_batch(_EMPTY))
    matched = len(raw) // 13
    packed = pa.compress(raw, codec="zstd", asbytes=True)
    return decode_batch(msgspec.msgpack.encode([*fields[:7], matched, len(raw) % 13 // 12, packed]))


DECODERS = {message.file: message.decode for message in MESSAGES}
DECODERS |= {
    "task_of_anybody": lambda raw: open_task(raw, None),
    "model_of_anybody": lambda raw: decode_model(open_model(raw, None)),
    "model_sealed": _read_sealed,
    "batch_zipped": _read_zipped,
}
HEADERS = {
    "batch": PushHeaders.of(_batch()).encode(),
    "dead letter": DeadLetter("event", Reason.TOO_LARGE, "70000 bytes", b"{", Origin("events", 3, 41)).headers,
}
# What every implementation must refuse: kind, bytes, and the word for it.
REFUSED = [
    ("event", b'{"format":""}', Reason.UNKNOWN_FORMAT),
    ("event", b"", Reason.MALFORMED),
    ("event", b'{"event_id":"e"}', Reason.UNKNOWN_FORMAT),
    ("event", encode_event(_EVENT).replace(b"event/1", b"event/2"), Reason.UNKNOWN_FORMAT),
    ("event", encode_event(_EVENT).replace(b'"label":1', b'"label":2'), Reason.MALFORMED),
    ("event", encode_event(_EVENT).replace(b'"phone"', b"[" * 40 + b"]" * 40), Reason.TOO_DEEP),
    ("event", encode_event(_EVENT).replace(b"-1.5", b"-30.5"), Reason.MALFORMED),
    ("batch", encode_batch(_batch())[:-1], Reason.MALFORMED),
    ("batch", encode_batch(_batch()).replace(b"batch/2", b"batch/1"), Reason.UNKNOWN_FORMAT),
    ("batch", encode_batch(_not_finite()), Reason.MALFORMED),
    (
        "batch",
        encode_batch(_batch()).replace(b"\x03\x02\xc4", b"\x03\x03\xc4"),
        Reason.MALFORMED,
    ),  # one random too many
    ("model", encode_model(*_model())[:-1], Reason.DAMAGED),
    ("model", encode_model(*_model()).replace(b"model/5", b"model/6", 1), Reason.UNKNOWN_FORMAT),
    ("signed model", sign_model(encode_model(*_model()), STRANGER), Reason.UNSIGNED),
    ("signed model", encode_model(*_model()), Reason.MALFORMED),
    ("signed model", sign_model(encode_task(Task(task_version=4)), PRIVATE), Reason.UNKNOWN_FORMAT),
    ("task", sign_task(Task(task_version=4), STRANGER), Reason.UNSIGNED),
    ("pace", encode_pace(Pace(1800.5, 1800, 60)), Reason.MALFORMED),
    ("pace", encode_pace(Pace(0, -1, 60)), Reason.MALFORMED),
    ("pace", encode_pace(Pace(0, 60, 60)).replace(b"pace/1", b"pace/2"), Reason.UNKNOWN_FORMAT),
    ("task", sign_model(encode_model(*_model()), PRIVATE), Reason.MALFORMED),
    ("trace", encode_step(_STEP).replace(b"trace/1", b"trace/2"), Reason.UNKNOWN_FORMAT),
    ("trace", encode_step(_STEP).replace(b'"since_ms":', b'"since":'), Reason.MALFORMED),
    ("status", encode_status(_STATUS).replace(b"status/1", b"status/2"), Reason.UNKNOWN_FORMAT),
    ("status", encode_status(_STATUS).replace(b"[30,9,1]", b"[30,9]"), Reason.MALFORMED),
    ("status", encode_status(_STATUS).replace(b"[0.1,1]", b"[1,0.1]"), Reason.MALFORMED),
]
READERS = {
    "event": decode_event,
    "batch": decode_batch,
    "model": decode_model,
    "signed model": _read_signed_model,
    "task": _open,
    "pace": decode_pace,
    "status": decode_status,
    "trace": decode_step,
}


def described(value: Any) -> Any:
    """A value as JSON can show it: arrays as lists, bytes in hexadecimal digits."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, bytes):
        return value.hex()
    if is_dataclass(value) and not isinstance(value, type):
        return described(asdict(value))
    if isinstance(value, msgspec.Struct):
        return described(msgspec.structs.asdict(value))
    if isinstance(value, dict):
        return {str(key): described(each) for key, each in value.items()}
    return [described(each) for each in value] if isinstance(value, list | tuple) else value


def index() -> dict[str, Any]:
    """What the golden files hold, for whoever writes another implementation."""
    return {
        "public_key": PUBLIC.public_bytes_raw().hex(),
        "messages": {message.file: described(message.value) for message in MESSAGES},
        "headers": {
            kind: {name: value.decode() for name, value in headers.items()} for kind, headers in HEADERS.items()
        },
        "refused": [{"kind": kind, "hex": raw.hex(), "reason": reason} for kind, raw, reason in REFUSED],
    }


def _write() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for message in MESSAGES:
        (GOLDEN / message.file).write_bytes(message.encode(message.value))
    (GOLDEN / "index.json").write_text(json.dumps(index(), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    _write()
