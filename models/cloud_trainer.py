"""Training the cloud model: a first version from a log's initial part, then the next from each new block of samples.

Cross-entropy of the head, plus the same of a two-tower score (target-free pool · target) that gives match keys
their meaning: users are near each other when they take the same items. AdamW in shuffled batches.
Known items and categories are dropped to the unknown row now and then, so that it is trained too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from xxhash import xxh3_64_hexdigest

from models.adam import Adam
from models.cloud_head import HeadParams
from models.cloud_model import MEASURED, CloudModel, Weights, empty_slots, half, known_keys, random_model
from models.quorum import LEAD_MS, reached
from models.sample import SampleBlock
from models.vocabulary import MODEL_BYTES, Names, Vocabulary, aged, choose, positives
from wire.arrays import F64, I64, U32
from wire.errors import InputError

BATCH, LEAST_BATCH = 1024, 64  # larger ones predict worse, and outgrow the cache: they are not faster
STEPS = 60  # an epoch has at least this many where samples allow: small blocks get small batches
DROP = 0.1  # chance that a known item, or category, is shown as unknown
POOL_LOSS = 1.0  # weight of the two-tower loss: with less, pooled histories match worse
MEASURED_ON = 50_000  # samples are enough for the mean and spread of item vectors
LEAST_SPREAD = 1e-6  # less is one item alone, which must not blow up the others
# Decoupled from the gradient (AdamW, arXiv 1711.05101): within it, Adam makes of any decay, however small, a step of
# the learning rate for every row that is not in the batch, and rare items forget what they learned.
TABLE_DECAY, DECAY = 0.3, 0.01  # embeddings overfit within two epochs without theirs
LEFT_OUT = "names_left_out"  # of a model's metrics: items and categories it has no room for
LEAST_RATE = 0.02  # of the learning rate, which falls in a straight line to it over the run

_TABLES = ("items", "categories")
_LEARNED = tuple(f.name for f in fields(Weights) if f.name not in MEASURED)

Progress = Callable[[int, int], None]  # samples done, samples in all


class Schedule(NamedTuple):
    """How long and how fast to learn."""

    epochs: int
    learning_rate: float

    def rate(self, done: float) -> float:
        """The learning rate when this share of all samples is done."""
        return self.learning_rate * max(LEAST_RATE, 1 - done)


FIRST, NEXT = Schedule(2, 0.01), Schedule(1, 0.002)


def train_first(
    blocks: Sequence[SampleBlock], seed: int, progress: Progress | None = None, *, limit_bytes: int = MODEL_BYTES
) -> CloudModel:
    """Version 1 from `blocks` of samples with histories; raises `InputError` when they hold no sample.

    The same blocks, seed and machine give the same model. As a message it has at most `limit_bytes`.
    """
    if not sum(map(len, blocks)):
        raise InputError(
            "there are no samples to train a cloud model from: give a longer log or a larger --initial-share"
        )
    block = agreed_on(SampleBlock.concat(blocks))
    nothing = np.zeros(0, np.uint32)
    names = _vocabulary(random_model(nothing, nothing, seed), block, limit_bytes)
    start = replace(random_model(names.items, names.categories, seed), lineage=_lineage(block, seed))
    return _train(start, block, seed, FIRST, progress=progress, left_out=names.left_out)


def train_next(
    model: CloudModel,
    block: SampleBlock,
    seed: int,
    progress: Progress | None = None,
    *,
    limit_bytes: int = MODEL_BYTES,
) -> CloudModel:
    """The next version: `model` trained on `block`. New items start as the unknown one; Adam starts afresh.

    As a message it has at most `limit_bytes`: of more names than that has room for, the least taken are forgotten.
    """
    if not len(block):
        raise InputError("there are no samples to train the next cloud model from")
    block = agreed_on(block)
    names = _vocabulary(model, block, limit_bytes)
    start = _with_names(model, names, _elapsed_ms(model, block))
    return _train(start.as_version(model.version + 1), block, seed, NEXT, progress=progress, left_out=names.left_out)


def agreed_on(block: SampleBlock) -> SampleBlock:
    """`block` but for samples far ahead of what its users have reached between them.

    A model says until when it has learned, and devices go by it: so it learns nothing from beyond what many say.
    """
    return block.take(np.flatnonzero(block.timestamp <= reached(block.user, block.timestamp) + LEAD_MS))


def lineage_of(block: SampleBlock, seed: int) -> str:
    """The lineage that `train_first` begins with these samples and this seed."""
    return _lineage(agreed_on(block), seed)


def _vocabulary(model: CloudModel, block: SampleBlock, limit_bytes: int) -> Vocabulary:
    """Which of the names that `model` and `block` know the next version will know."""
    item_keys = np.union1d(model.item_keys, _named(block.item, block.history_item))
    category_keys = np.union1d(model.category_keys, _named(block.category, block.history_category))
    before = aged(model.weights.taken.numpy(), _elapsed_ms(model, block))[model.item_rows(item_keys).numpy()]
    items = Names(item_keys, before + positives(item_keys, _newly_taken(model, block)))
    categories = Names(category_keys, positives(category_keys, block.category[block.label > 0]))
    return choose(items, categories, limit_bytes)


def _lineage(block: SampleBlock, seed: int) -> str:
    """A name for the versions that begin here: another log, or another seed, makes another one."""
    return xxh3_64_hexdigest(block.sample.tobytes() + block.timestamp.tobytes(), seed=seed & (2**64 - 1))


def _named(keys: U32, history: U32) -> U32:
    return known_keys(np.concatenate([keys, history.ravel()]))


def _newly_taken(model: CloudModel, block: SampleBlock) -> U32:
    """The items of positives that `model` has not counted: it has those that are rehearsed."""
    return block.item[(block.label > 0) & (block.timestamp > model.trained_until)]


def _elapsed_ms(model: CloudModel, block: SampleBlock) -> int:
    """How much more event time the next version will have seen."""
    return int(block.timestamp.max()) - model.trained_until


def _with_names(model: CloudModel, names: Vocabulary, elapsed_ms: int) -> CloudModel:
    """`model` with rows for these names, new ones copies of the unknown row; positives age once names compete."""
    item_rows, category_rows = model.item_rows(names.items), model.category_rows(names.categories)
    taken = model.weights.taken
    tables = {
        "items": model.weights.items[item_rows],
        "categories": model.weights.categories[category_rows],
        "taken": (torch.from_numpy(aged(taken.numpy(), elapsed_ms)) if names.left_out else taken)[item_rows],
    }
    with_unknown = {
        name: torch.cat([getattr(model.weights, name)[:1], rows]).contiguous() for name, rows in tables.items()
    }
    weights = replace(model.weights, **with_unknown)
    return replace(model, item_keys=names.items, category_keys=names.categories, weights=weights)


def _train(
    model: CloudModel,
    block: SampleBlock,
    seed: int,
    schedule: Schedule,
    *,
    progress: Progress | None,
    left_out: int,
) -> CloudModel:
    net = _Net.of(model)
    tables, others = net.parameters()
    of_tables, of_others = Adam(tables, TABLE_DECAY), Adam(others, DECAY)
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    losses: list[float] = []
    for done, at in _batches(len(block), schedule.epochs, rng):
        loss, head_loss = net.loss(_Rows.of(model, block.take(at)).dropped(generator))
        rate = schedule.rate(done / (schedule.epochs * len(block)))
        gradients = torch.autograd.grad(loss, [*tables, *others])
        of_tables.step(gradients[: len(tables)], rate)
        of_others.step(gradients[len(tables) :], rate)
        losses.append(float(head_loss))
        if progress:
            progress(done, schedule.epochs * len(block))
    last = losses[-(len(losses) // schedule.epochs) :]
    metrics = {"samples": float(len(block)), "train_log_loss": round(float(np.mean(last)), 6)}
    if left_out:
        metrics[LEFT_OUT] = float(left_out)
    trained = net.model(model, trained_until=max(model.trained_until, int(block.timestamp.max())), metrics=metrics)
    return _measured(_counted(trained, _newly_taken(model, block)), block)


def _counted(model: CloudModel, item: U32) -> CloudModel:
    """`model` with these items' positives (n,) counted as well, but for items without a row: each of them is rare."""
    rows = model.item_rows(item)
    taken = model.weights.taken + torch.bincount(rows[rows > 0], minlength=len(model.weights.taken))
    return replace(model, weights=replace(model.weights, taken=taken))


def _measured(model: CloudModel, block: SampleBlock) -> CloudModel:
    """`model` with the centre and spread of its item vectors over `block`, of which an even share is looked at."""
    rows = np.linspace(0, len(block) - 1, min(len(block), MEASURED_ON)).astype(np.int64)
    vectors = model.item_vectors(block.item[rows], block.category[rows]).astype(np.float64)
    centre = vectors.mean(axis=0)
    spread = np.sqrt(((vectors - centre) ** 2).sum(axis=1).mean())
    if spread < LEAST_SPREAD:
        spread = np.float64(1)
    measured = {"centre": _single(centre), "spread": _single(np.atleast_1d(spread))}
    return replace(model, weights=replace(model.weights, **measured))


def _single(array: F64) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))


def _batches(n: int, epochs: int, rng: np.random.Generator) -> Iterator[tuple[int, I64]]:
    """Shuffled row numbers, batch by batch, with the samples done after each."""
    size = min(BATCH, max(LEAST_BATCH, n // STEPS))
    for epoch in range(epochs):
        order = rng.permutation(n)
        for at in range(0, n, size):
            batch = order[at : at + size]
            yield epoch * n + at + len(batch), batch


@dataclass(frozen=True)
class _Rows:
    """Samples as table rows: targets (n,), histories (n, L), padding (n, L + 1), labels (n,)."""

    item: Tensor
    category: Tensor
    history_item: Tensor
    history_category: Tensor
    empty: Tensor
    label: Tensor

    @classmethod
    def of(cls, model: CloudModel, block: SampleBlock) -> Self:
        return cls(
            model.item_rows(block.item),
            model.category_rows(block.category),
            model.item_rows(block.history_item),
            model.category_rows(block.history_category),
            empty_slots(block.history_item),
            torch.from_numpy(block.label.astype(np.float32)),
        )

    def dropped(self, generator: torch.Generator) -> Self:
        def drop(rows: Tensor) -> Tensor:
            return torch.where(torch.rand(rows.shape, generator=generator) < DROP, 0, rows)

        targets = {"item": drop(self.item), "category": drop(self.category)}
        return replace(
            self,
            history_item=drop(self.history_item),
            history_category=drop(self.history_category),
            **targets,
        )


@dataclass(frozen=True)
class _Net:
    """The model's parameters as leaves that gradients reach."""

    weights: Weights
    head: tuple[Tensor, Tensor, Tensor, Tensor]
    pool_bias: Tensor

    @classmethod
    def of(cls, model: CloudModel) -> Self:
        def leaf(tensor: Tensor) -> Tensor:
            return tensor.clone().requires_grad_()

        leaves = {name: leaf(getattr(model.weights, name)) for name in _LEARNED}
        weights = replace(model.weights, **leaves)
        head = model.head
        w1, b1, w2, b2 = (leaf(torch.from_numpy(a)) for a in (head.w1, head.b1, head.w2, head.b2))
        return cls(weights, (w1, b1, w2, b2), torch.zeros(1, requires_grad=True))

    def parameters(self) -> tuple[list[Tensor], list[Tensor]]:
        """The tables, and the rest."""
        tables = [getattr(self.weights, name) for name in _TABLES]
        others = [getattr(self.weights, name) for name in _LEARNED if name not in _TABLES]
        return tables, [*others, *self.head, self.pool_bias]

    def loss(self, rows: _Rows) -> tuple[Tensor, Tensor]:
        """The loss to descend, and the head's cross-entropy alone."""
        target = self.weights.vectors(rows.item, rows.category)
        slots = self.weights.slots(rows.history_item, rows.history_category)
        interest = self.weights.interest(target, slots, rows.empty)
        w1, b1, w2, b2 = self.head
        hidden = torch.relu(torch.cat([interest, target, interest * target], dim=1) @ w1 + b1)
        head_loss = cross_entropy(hidden @ w2 + b2, rows.label)
        pool_logit = (self.weights.pooled(slots, rows.empty) * target).sum(1) + self.pool_bias
        return head_loss + POOL_LOSS * cross_entropy(pool_logit, rows.label), head_loss.detach()

    def model(self, start: CloudModel, trained_until: int, metrics: dict[str, float]) -> CloudModel:
        trained = {name: getattr(self.weights, name).detach() for name in _LEARNED}
        tables = {name: half(trained[name].numpy()) for name in _TABLES}
        head = HeadParams(*(p.detach().numpy() for p in self.head))
        weights = replace(self.weights, **(trained | tables))
        return replace(start, weights=weights, head=head, trained_until=trained_until, metrics=metrics)
