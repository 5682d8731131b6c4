"""The parameter store: what devices have learned in stacked tensors, and predictions from it in batch.

A device's place in the store is its slot: a cache of its `Parameters`, that `take` brings back. Several cloud model
versions live side by side, because a device that is offline keeps the version it has.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from device_sim.instruction import Predict
from device_sim.parameters import Parameters
from device_sim.window import padded
from models import repeats
from models.base import expected
from models.blend import ADJUSTED, FREE, HEADS, LOCAL, PERSONAL, Blend, blended
from models.cloud_model import DIM, CloudModel, sigmoid
from models.heads import Heads
from models.packed_heads import NO_HEADS, PackedHeads, bias_keys, parts_of_each
from models.prior_variance import KINDS, REGRESSION
from models.repeats import Repeats, traits
from models.scores import logit
from models.user_bias import UserBias
from wire.arrays import F32, F64, I64, U8, U32, Bool
from wire.task import ARMS, Task

_FIRST_SLOTS = 64
_columns_of = attrgetter(
    *("timestamp", "item", "category", "label", "times", "since_s", "base", "unproven"),
    *("history_item", "history_category"),
)
_LOCAL, _ADJUSTED = PERSONAL.index(LOCAL), HEADS.index(ADJUSTED)


@dataclass(frozen=True, slots=True)
class Rows:
    """n own events to predict: slot and key of the cloud model of their devices, time, keys, label, how many positives
    of the item came before and how long ago the newest was, padded histories, bases, and whose heads are unproven."""

    slot: I64
    model: I64
    timestamp: I64
    item: U32
    category: U32
    label: U8
    times: U8
    since_s: U32
    history_item: U32  # (n, HISTORY_LEN)
    history_category: U32
    base: F32
    unproven: Bool

    @classmethod
    def of(cls, asked: Sequence[Predict], slots: Sequence[int], models: Sequence[int]) -> "Rows":
        """What devices asked for (at least one), each with its slot and the key of its cloud model."""
        timestamp, item, category, label, times, since_s, base, unproven, *histories = zip(
            *map(_columns_of, asked), strict=True
        )
        history_item, history_category = (
            np.frombuffer(b"".join(map(padded, each)), np.uint32).reshape(len(asked), -1) for each in histories
        )
        return cls(
            np.array(slots, np.int64),
            np.array(models, np.int64),
            np.array(timestamp, np.int64),
            np.array(item, np.uint32),
            np.array(category, np.uint32),
            np.array(label, np.uint8),
            np.array(times, np.uint8),
            np.array(since_s, np.uint32),
            history_item,
            history_category,
            np.array(base, np.float32),
            np.array(unproven, np.bool_),
        )


@dataclass(frozen=True, slots=True)
class Predicted:
    """For n events: logits of base or cloud (n,), probabilities and scores of each arm (n, arms), log-loss of each head
    (n, heads), what each event teaches the fleet (n, EVIDENCE), and for each arm the event's label beside its chance
    without personal heads, and what these add to its logit, used or not (n, arms).
    Scores rank what a user meets at one moment: they are the arm's logits without the user bias; (n, 0) where the store
    makes none."""

    logit: F32
    arms: F64
    scores: F64
    head_losses: F64
    evidence: F64
    residuals: F64
    leans: F64


class ParameterStore:
    """Slots are handed out by `add` and taken back by `release`; there are never more than devices at one time.

    Without `scores` it predicts probabilities alone.
    """

    def __init__(self, *, scores: bool = False) -> None:
        self._scores = scores
        self.models: dict[int, CloudModel] = {}  # by `ModelId.key`
        self.blend = Blend(0)
        self.user_bias = UserBias(0)
        self.repeats = Repeats(0)
        self.heads: list[PackedHeads] = []  # of each slot
        self.factors: F64 = np.zeros((0, len(KINDS)))  # of the prior variances that each slot's `LOCAL` was made with
        self.slots = 0
        self._free: list[int] = []

    def add(self) -> int:
        """A slot for a new device: it predicts as the cloud model does."""
        if self._free:
            return self._free.pop()
        if self.slots == len(self.blend):
            more = max(_FIRST_SLOTS, self.slots)
            self.blend.grow(more)
            self.user_bias.grow(more)
            self.repeats.grow(more)
            self.heads += [NO_HEADS] * more
            self.factors = np.concatenate([self.factors, np.ones((more, len(KINDS)))])
        self.slots += 1
        return self.slots - 1

    def release(self, slot: int) -> None:
        """The device is gone: forget all that its slot has learned, for the next one to have it."""
        self.unconfigure(slot)
        self.put(slot, Parameters())
        self._free.append(slot)

    def take(self, slot: int) -> Parameters:
        """Copies of all that the device of this slot has learned."""
        learned = self.blend.loss[slot], self.user_bias.state[slot], self.factors[slot]
        return Parameters(self.heads[slot], *(each.copy() for each in learned))

    def put(self, slot: int, parameters: Parameters) -> None:
        """Make these the parameters of the slot; it predicts to the bit what the one did that they were taken from."""
        self.blend.loss[slot], self.user_bias.state[slot] = parameters.loss, parameters.user_bias
        self.heads[slot], self.factors[slot] = parameters.heads, parameters.factors

    def configure(self, slot: int, task: Task) -> None:
        """Blend and repeats as the device's task says."""
        which = np.array([slot])
        self.blend.configure(which, discount=task.blend_discount, prior=task.head_prior, classifier=task.classifier)
        self.repeats.configure(which, task.repeats)

    def unconfigure(self, slot: int) -> None:
        """Blend and repeats as of a device without a task."""
        which = np.array([slot])
        self.blend.configure(which, discount=1.0, prior={}, classifier=False)
        self.repeats.configure(which, {})

    def forget(self, slot: int) -> None:
        """The device's heads are of no use any more; its blend weights stay."""
        self.heads[slot] = NO_HEADS

    def keep(self, slots: I64, head: I64, heads: Heads, factors: F64) -> None:
        """Put trained heads in use: number `head[i]` of PERSONAL on slot `slots[i]`; `LOCAL` with prior
        variances of these `factors` (kinds,)."""
        for slot in np.unique(slots).tolist():
            its = np.flatnonzero(slots == slot)
            self.heads[slot] = self.heads[slot].renewed(PackedHeads.of(head[its], heads.take(its)))
        self.factors[slots[head == _LOCAL]] = factors

    def heads_bytes(self, slot: int) -> int:
        """Bytes of the device's personal heads."""
        return self.heads[slot].nbytes

    def predict(self, rows: Rows) -> Predicted:
        """Every head and arm on every event, then charge the blends: a device's events in the order of the rows.

        What is predicted for an event does not depend on which other events are in `rows`.
        """
        n = len(rows.slot)
        cloud = np.zeros(n, np.float32)
        added, parts = np.zeros((n, len(PERSONAL)), np.float32), np.zeros((n, len(KINDS)), np.float32)
        for key in set(rows.model.tolist()):
            at = np.flatnonzero(rows.model == key)
            cloud[at], added[at], parts[at] = self._head_logits(self.models[key], rows, at)
        trait = traits(rows.times, rows.since_s, cloud)
        cloud_and_repeats = cloud + self.repeats.added(rows.slot, trait)
        arms, scores = np.zeros((n, len(ARMS))), np.zeros((n, len(ARMS) if self._scores else 0))
        residuals, leans = np.zeros((n, len(ARMS))), np.zeros((n, len(ARMS)))
        losses, expected, adjusted = np.zeros((n, len(HEADS))), np.zeros(n), np.zeros(n)
        for at in turns(rows.slot):  # user biases and blend weights learn from each event before the device's next one
            slot, when, label = rows.slot[at], rows.timestamp[at], rows.label[at].astype(np.float64)
            user_bias = self.user_bias.before(slot, when).astype(np.float32)
            personal = np.concatenate([np.zeros((len(at), 1), np.float32), added[at]], axis=1)
            ranking = np.concatenate([cloud[at, None], cloud_and_repeats[at, None] + personal], axis=1)
            logits = ranking.copy()
            logits[:, 1:] += user_bias[:, None]
            probability = sigmoid(logits).astype(np.float64)
            whole, free = self.blend.weights(slot), self.blend.weights(slot, FREE)
            used = np.where(rows.unproven[at, None, None], free, whole)
            arms[at] = blended(used, probability)
            if self._scores:
                scores[at] = logit(blended(used, sigmoid(ranking).astype(np.float64)))
            leans[at] = np.einsum("rah,rh->ra", whole[:, :, -len(PERSONAL) :], added[at])
            residuals[at] = label[:, None] - blended(free, probability)
            losses[at] = self.blend.update(slot, probability, label)
            expected[at], adjusted[at] = sigmoid(cloud[at] + user_bias), probability[:, _ADJUSTED]
            self.user_bias.learn(slot, when, cloud_and_repeats[at], label)
        columns, label = parts / self.factors[rows.slot], rows.label.astype(np.float64)
        evidence = repeats.REGRESSION.evidence(trait, expected, label), REGRESSION.evidence(columns, adjusted, label)
        return Predicted(cloud, arms, scores, losses, np.concatenate(evidence, axis=1), residuals, leans)

    def drop_models(self, in_use: set[int]) -> None:
        """Keep only the models of these keys."""
        self.models = {key: model for key, model in self.models.items() if key in in_use}

    def _head_logits(self, model: CloudModel, rows: Rows, at: I64) -> tuple[F32, F32, F32]:
        """The logits (r,) of base or cloud, what each personal head adds to them (r, heads), and the parts of
        what `LOCAL` adds (r, kinds)."""
        item, category = rows.item[at], rows.category[at]
        interest = model.interests(item, category, rows.history_item[at], rows.history_category[at])
        features = model.features(interest, item, category)
        parts = np.zeros((len(at), len(PERSONAL), len(KINDS)), np.float32)
        x, keys = model.standardised(features[:, DIM : 2 * DIM]), bias_keys(item, category)
        for its, heads in _alike([self.heads[slot] for slot in rows.slot[at].tolist()]):
            parts[np.array(its)[:, None], heads[0].head] = parts_of_each(heads, x[its], keys[its])
        return expected(rows.base[at], model.logits(features)), parts.sum(axis=2), parts[:, _LOCAL]


def _alike(heads: Sequence[PackedHeads]) -> Iterable[tuple[list[int], list[PackedHeads]]]:
    """Rows that have heads, and these, by what `parts_of_each` wants to be alike, and by the heads' numbers."""
    found: dict[tuple[bytes, bool], tuple[list[int], list[PackedHeads]]] = {}
    for row, each in enumerate(heads):
        if len(each):
            rows, alike = found.setdefault((each.head.tobytes(), len(each.keys) > 0), ([], []))
            rows.append(row)
            alike.append(each)
    return found.values()


def turns(slot: I64) -> list[I64]:
    """Row numbers in turns: the first event of every slot, then the second ones, and so on.

    >>> [at.tolist() for at in turns(np.array([5, 3, 5, 5]))]
    [[0, 1], [2], [3]]
    """
    found: list[list[int]] = []
    passed: dict[int, int] = {}  # turns that each slot has had
    for row, each in enumerate(slot.tolist()):
        turn = passed[each] = passed.get(each, -1) + 1
        if turn == len(found):
            found.append([])
        found[turn].append(row)
    return [np.array(rows) for rows in found]
