"""Reports of devices, with what a test does not care about filled in."""

from typing import Any

from models.blend import HEADS
from models.evidence import EQUATIONS
from wire.identity import NO_MODEL, ModelId
from wire.outcome import Batches
from wire.telemetry import Ack, Gain, Training

NOTHING = bytes(8 * EQUATIONS)


def ack(user_id: str, seq: int, outcome: str = "accepted", **known: Any) -> Ack:
    """An answer for batch `seq`, the first of a device unless `known` says otherwise."""
    said = Batches(outcome)
    facts: dict[str, Any] = {
        "boot": 0,
        "sequence": 1,
        "answered_seq": seq,
        "batches": {said: 1},
        "model": ModelId("", 1),
        "received_ms": 0,
    }
    return Ack(user_id=user_id, batch_seq=seq, outcome=said, **facts | known)


def training(user_id: str, events: int, losses: dict[str, float] | float, **known: Any) -> Training:
    """The sums of a life after `events` events, each head's losses or one for all."""
    facts: dict[str, Any] = {
        "boot": 0,
        "sequence": 1,
        "answered_seq": -1,
        "batches": {},
        "model": NO_MODEL,
        "trained_seq": -1,
        "reported_ms": 0,
        "bytes_up": 0,
        "bytes_down": 0,
        "bytes_stored": 0,
        "trainings": {},
        "compute_ms": 0.0,
        "passed": {},
        "gain": Gain(),
        "evidence": NOTHING,
    }
    by_head = losses if isinstance(losses, dict) else dict.fromkeys(HEADS, losses)
    return Training(user_id=user_id, events=events, head_log_loss=by_head, **facts | known)
