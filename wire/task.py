"""The task: the computation that the cloud asks devices for, versioned and rolled out in stages (JSON, signed)."""

from typing import Annotated, Literal

import msgspec

from wire.decoder import FORMAT, JsonDecoder
from wire.identity import Hex

TASK_BYTES = 64 << 10  # 2 kB with the defaults
Variance = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
LogWeight = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
Kind = Literal["item", "category", "taste"]
Duration = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]

# Nats per event that heads are hoped to gain while nobody knows. On logs with something to find it was .0004 to .016.
HOPE = 0.005

ARMS = ("cloud", "local", "random", "coarse", "mpda", "coda")
# Adam steps of the sample classifier where there is one: at 16 outside rows each half of the 1,280 of a full batch.
CLASSIFIER_STEPS = 40


class Spread(msgspec.Struct, frozen=True):
    """Prior variances of a head's parts, in squared logits."""

    item: Variance
    category: Variance
    taste: Variance
    user_bias: Variance


class Recipe(msgspec.Struct, frozen=True):
    """One way to make a head from own and outside samples.

    Outside samples count `outside_weight` each; a share of the head that they alone make is what own samples start
    from: with n own samples `trust` · n / (n + `doubt`). Spreads are those of own and of outside samples.
    """

    own: Spread
    outside: Spread
    outside_weight: Amount
    trust: Share
    doubt: Amount


# Chosen on the first halves of streamed logs. No one recipe wins everywhere: where the
# stream drifts (news), outside samples say what is new and own items hardly come again; where people buy what
# they bought (shops), an own item says nearly everything. Every device has both, and its blend finds out.
PLAIN = Recipe(Spread(0.3, 0.1, 0.1, 0.3), Spread(0.3, 0.1, 0.1, 1.0), outside_weight=1.0, trust=1.0, doubt=10.0)
HABIT = Recipe(Spread(3.0, 0.1, 0.1, 0.3), Spread(0.3, 0.03, 0.03, 1.0), outside_weight=0.3, trust=0.5, doubt=0.0)


class Task(msgspec.Struct, frozen=True, kw_only=True, tag_field=FORMAT, tag="task/6"):
    """How devices train. `rollout_percent` of devices, chosen by hash, take it up; the others keep the old one.

    Windows count own samples (`window_count`) and event time (`window_age_ms`). A device trains after
    `retrain_every` new samples once it has `min_samples` of them, on its newest candidate batch.
    It is for devices with a cloud model of `lineage` ("": of any), which its `head_prior`, `repeats` and `variances`
    are about: the fleet's log-weight per head, what having taken an item before says (`models.repeats`), and by
    kind how many times the recipes' the prior variances of own samples are (`models.prior_variance`), all from
    telemetry.
    `gain` is from there as well: what personal heads may be expected to gain, nats per event. Where they don't earn a
    training a device stands aside, and until they are `proven` to, it uses none (`device_sim.aside`).
    With `classifier_steps` above 0 a sample classifier on the device weighs the matched samples of the arm "coda".
    A device asks for a new batch when its own is older than `candidate_age_ms` and there are new samples, or older than
    `idle_age_ms` and there are none: whoever comes back finds heads that know the last hours.
    """

    task_version: Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
    lineage: Hex = ""
    code_version: Annotated[str, msgspec.Meta(max_length=64)] = "1"
    rollout_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 100.0
    arms: tuple[str, ...] = ARMS
    window_count: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 1024
    window_age_ms: Duration = 90 * 86_400_000
    min_samples: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 1
    retrain_every: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 10
    plain: Recipe = PLAIN
    habit: Recipe = HABIT
    classifier_steps: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    classifier_learning_rate: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.02
    holdback_share: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.2
    acceptance_margin: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)] = 0.02
    blend_discount: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.995
    head_prior: dict[str, LogWeight] = {}
    repeats: dict[str, LogWeight] = {}
    variances: dict[Kind, Variance] = {}
    gain: LogWeight = HOPE
    proven: LogWeight = 0.0
    candidate_age_ms: Duration = 600_000
    idle_age_ms: Duration = 3 * 3_600_000

    @property
    def classifier(self) -> bool:
        """Whether devices train a sample classifier."""
        return self.classifier_steps > 0

    @property
    def compared(self) -> tuple[str, ...]:
        """The arms worth comparing, "cloud" always: without a classifier "coarse" and "coda" are one, called "coda".

        >>> Task(task_version=1).compared
        ('cloud', 'local', 'random', 'mpda', 'coda')
        """
        one = not self.classifier and "coda" in self.arms
        return tuple(arm for arm in ARMS if arm == "cloud" or (arm in self.arms and not (one and arm == "coarse")))

    @property
    def richest(self) -> int:
        """The number in `ARMS` of the arm that has most, of those asked for."""
        return max(map(ARMS.index, self.arms))

    def own(self, recipe: Recipe) -> Spread:
        """The spread of own samples by `recipe`, with what the fleet says of it."""
        told = {kind: times * getattr(recipe.own, kind) for kind, times in self.variances.items()}
        return msgspec.structs.replace(recipe.own, **told)


def _check(task: Task) -> str:
    strangers = [arm for arm in task.arms if arm not in ARMS]
    if strangers or len(set(task.arms)) < len(task.arms):
        return f"its arms are {', '.join(task.arms)}: name each of {', '.join(ARMS)} once at most"
    return ""


_task = JsonDecoder[Task]("task", Task, TASK_BYTES, check=_check)


def encode_task(task: Task) -> bytes:
    """The document as JSON: what is signed."""
    return msgspec.json.encode(task)


def decode_task(raw: bytes) -> Task:
    """The task in a document; raises `Malformed`."""
    return _task(raw)
