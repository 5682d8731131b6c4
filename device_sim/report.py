"""What a device reports: the sums since its life began, so that the newest report says all that older ones did.

Making one takes the next number of its `Usage`.
"""

from device_sim.usage import Usage
from models.evidence import pack
from wire.identity import ModelId
from wire.moments import WallMs
from wire.outcome import Batches
from wire.telemetry import Ack, Gain, Training


def answer(user_id: str, usage: Usage, *, seq: int, model: ModelId, outcome: Batches, now_ms: WallMs) -> Ack:
    """The answer to batch `seq`, which is of cloud model `model` and ended as `outcome`."""
    return Ack(
        user_id=user_id,
        boot=usage.boot,
        sequence=usage.next_sequence(),
        answered_seq=usage.answered_seq,
        batches=dict(usage.batches),
        batch_seq=seq,
        model=model,
        outcome=outcome,
        received_ms=now_ms,
    )


def standing(
    user_id: str, usage: Usage, *, model: ModelId, trained_seq: int, bytes_stored: int, now_ms: WallMs
) -> Training:
    """All that the device did; `model` is in use, and batch `trained_seq` is the newest it trained on."""
    events, nats, squares = usage.gain.tolist()
    return Training(
        user_id=user_id,
        boot=usage.boot,
        sequence=usage.next_sequence(),
        answered_seq=usage.answered_seq,
        batches=dict(usage.batches),
        model=model,
        trained_seq=trained_seq,
        reported_ms=now_ms,
        bytes_up=usage.bytes_up,
        bytes_down=usage.bytes_down,
        bytes_stored=bytes_stored,
        trainings=dict(usage.trainings),
        compute_ms=round(usage.compute_ms, 3),
        passed=dict(usage.passed),
        events=usage.events,
        head_log_loss=usage.head_log_loss(),
        gain=Gain(round(events), nats, squares),
        evidence=pack(usage.equations),
    )
