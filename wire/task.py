"""The task: the computation that the cloud asks devices for, versioned and rolled out in stages (JSON, signed)."""

import msgspec

ARMS = ("cloud", "local", "random", "coarse", "mpda", "coda")


class Spread(msgspec.Struct, frozen=True):
    """Prior variances of a head's parts, in squared logits."""

    item: float
    category: float
    taste: float
    level: float


class Recipe(msgspec.Struct, frozen=True):
    """One way to make a head from own and outside samples.

    Outside samples count `outside_weight` each; a share of the head that they alone make is what own samples start
    from: with n own samples `trust` · n / (n + `doubt`). Spreads are those of own and of outside samples.
    """

    own: Spread
    outside: Spread
    outside_weight: float
    trust: float
    doubt: float


# Ours, chosen on the first halves of the streamed logs (docs/research.md). No one recipe wins everywhere: where the
# stream drifts (news), outside samples say what is new and own items hardly come again; where people buy what
# they bought (shops), an own item says nearly everything. Every device has both, and its blend finds out.
PLAIN = Recipe(Spread(0.3, 0.1, 0.1, 0.3), Spread(0.3, 0.1, 0.1, 1.0), outside_weight=1.0, trust=1.0, doubt=10.0)
HABIT = Recipe(Spread(3.0, 0.1, 0.1, 0.3), Spread(0.3, 0.03, 0.03, 1.0), outside_weight=0.3, trust=0.5, doubt=0.0)


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """How devices train. `rollout_percent` of devices, chosen by hash, take it up; the others keep the old one.

    Windows count own samples (`window_count`) and event time (`window_age_ms`). A device trains after
    `retrain_every` new samples once it has `min_samples` of them, on its newest candidate batch.
    `head_prior` is the fleet's log-weight per head and `repeats` what having taken an item before says
    (`models.repeats`), both from telemetry. A device asks for a new batch when its own is
    older than `candidate_age_ms` and there are new samples, or older than `idle_age_ms` and there are none: whoever
    comes back finds heads that know the last hours.
    """

    task_version: int
    code_version: str = "1"
    rollout_percent: float = 100.0
    arms: tuple[str, ...] = ARMS
    window_count: int = 1024
    window_age_ms: int = 90 * 86_400_000
    min_samples: int = 1
    retrain_every: int = 10
    plain: Recipe = PLAIN
    habit: Recipe = HABIT
    classifier_steps: int = 40
    classifier_learning_rate: float = 0.02
    holdback_share: float = 0.2
    acceptance_margin: float = 0.02
    blend_discount: float = 0.995
    head_prior: dict[str, float] = {}
    repeats: dict[str, float] = {}
    candidate_age_ms: int = 600_000
    idle_age_ms: int = 3 * 3_600_000


class SignedTask(msgspec.Struct, frozen=True):
    """A task document as it travels: the exact bytes that were signed, and an Ed25519 signature over them."""

    document: bytes
    signature: bytes
