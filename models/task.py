"""The task: the computation that the cloud asks devices for, versioned and rolled out in stages (JSON, signed)."""

import msgspec

ARMS = ("cloud", "local", "random", "coarse", "coda")


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """How devices train. `rollout_percent` of devices, chosen by hash, take it up; the others keep the old one.

    Windows count own samples (`window_count`) and event time (`window_age_ms`). A device trains after
    `retrain_every` new samples once it has `min_samples` of them (with both labels), on its newest candidate batch.
    `head_prior` is the fleet's log-weight per head, from telemetry.
    """

    task_version: int
    code_version: str = "1"
    rollout_percent: float = 100.0
    arms: tuple[str, ...] = ARMS
    window_count: int = 256
    window_age_ms: int = 90 * 86_400_000
    min_samples: int = 10
    retrain_every: int = 10
    steps: int = 50
    learning_rate: float = 0.01
    weight_decay: float = 0.1
    outside_weight: float = 0.3
    classifier_steps: int = 40
    classifier_learning_rate: float = 0.02
    holdback_share: float = 0.2
    acceptance_margin: float = 0.02
    blend_discount: float = 0.995
    head_prior: dict[str, float] = {}
    candidate_age_ms: int = 600_000


class SignedTask(msgspec.Struct, frozen=True):
    """A task document as it travels: the exact bytes that were signed, and an Ed25519 signature over them."""

    document: bytes
    signature: bytes
