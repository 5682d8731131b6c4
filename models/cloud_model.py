"""The encoder and cloud CTR model: embeddings, attention over recent positives, a small MLP head (DIN-like).

Item vector = item embedding + category embedding. *Interest*, what the head sees of a user, is the history
pooled by attention to the target (after Deep Interest Network, arXiv 1706.06978); the *match key*, what the pool
searches by, is the history pooled without a target, so that a user has one before any target is known, beside a
signature of which items they are (`models.signature`). A learned null slot stands beside every history:
it is all there is of an empty one, and lets attention pass.

Unknown items and categories share row 0 of their table, which training keeps meaningful by dropping known ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from models.base import expected
from models.cloud_head import HIDDEN, HeadParams
from models.key_rows import KeyRows
from models.sample import SampleBlock
from models.signature import rarity, two_view_keys, unit
from wire.arrays import F16, F32, I64, U32
from wire.identity import ModelId
from wire.ids import NO_KEY
from wire.sample import HISTORY_LEN

DIM = 32  # d: an interest is 64 bytes in a device's window
_CHUNK = 256  # rows encoded at once: their histories stay in the cache, which at 1,024 costs a third more (measured)
MEASURED = frozenset({"centre", "spread", "taken"})  # of `Weights`
T = TypeVar("T")


@dataclass(frozen=True)
class Weights:
    """Everything but the head, as tensors. Row 0 of both tables is the unknown one; slot L is the null slot.

    `MEASURED` names those that no gradient reaches: they are measured when training is over.
    """

    items: Tensor  # (items + 1, d)
    categories: Tensor  # (categories + 1, d)
    attention: Tensor  # (d, d): how a target looks at a history
    attention_recency: Tensor  # (L + 1,)
    pool_query: Tensor  # (d,): how a history is looked at without a target
    pool_recency: Tensor  # (L + 1,)
    null: Tensor  # (d,)
    centre: Tensor  # (d,): the mean item vector over training samples, so popular items count more
    spread: Tensor  # (1,): the root of their mean squared distance from it
    taken: Tensor  # (items + 1,): positives of each item in all that was learned from

    def slots(self, item_rows: Tensor, category_rows: Tensor) -> Tensor:
        """History vectors and the null slot, (n, L + 1, d), from table rows (n, L)."""
        vectors = self.vectors(item_rows, category_rows)
        return torch.cat([vectors, self.null.expand(len(vectors), 1, -1)], dim=1)

    def vectors(self, item_rows: Tensor, category_rows: Tensor) -> Tensor:
        """Item vectors (…, d) from table rows (…)."""
        return torch.nn.functional.embedding(item_rows, self.items) + torch.nn.functional.embedding(
            category_rows, self.categories
        )

    def interest(self, target: Tensor, slots: Tensor, empty: Tensor) -> Tensor:
        """Target attention (n, d): target (n, d), slots (n, L + 1, d), empty (n, L + 1) marks padding."""
        query = target @ self.attention / DIM**0.5
        return _attend(torch.bmm(slots, query[:, :, None])[:, :, 0] + self.attention_recency, slots, empty)

    def pooled(self, slots: Tensor, empty: Tensor) -> Tensor:
        """The target-free pool (n, d), before normalisation."""
        return _attend(slots @ self.pool_query / DIM**0.5 + self.pool_recency, slots, empty)


def _attend(score: Tensor, slots: Tensor, empty: Tensor) -> Tensor:
    share = torch.softmax(score.masked_fill(empty, -torch.inf), dim=1)
    return torch.bmm(share[:, None, :], slots)[:, 0]


def empty_slots(history_item: U32) -> Tensor:
    """Which of the L + 1 slots are padding, (n, L + 1); the null slot never is."""
    empty = np.zeros((len(history_item), history_item.shape[1] + 1), np.bool_)
    np.equal(history_item, NO_KEY, out=empty[:, :-1])
    return torch.from_numpy(empty)


@dataclass(frozen=True)
class CloudModel:
    """One immutable version of the cloud model; `trained_until` is the newest event time (ms) it learned from.

    `item_keys` and `category_keys` are sorted; key i has row i + 1. Embeddings hold float16 values in float32, so
    that the model is the same before and after it travels. `digest` is known once it has travelled; `replaces` are the
    lineages whose place this one takes.
    All methods run on as many threads as torch has.
    """

    version: int
    trained_until: int
    item_keys: U32
    category_keys: U32
    weights: Weights
    head: HeadParams
    metrics: dict[str, float] = field(default_factory=dict)
    lineage: str = ""
    digest: str = ""
    replaces: tuple[str, ...] = ()

    @property
    def id(self) -> ModelId:
        """Which model this is; what was made with another one never mixes with it."""
        return ModelId(self.lineage, self.version, self.digest)

    def as_version(self, version: int) -> "CloudModel":
        """The same model under another number of its lineage, yet to travel."""
        return replace(self, version=version, digest="")

    def item_vectors(self, item: U32, category: U32) -> F32:
        """Vectors (n, d) of items; unknown keys share row 0."""
        return self._vectors(self._item_rows.of(item), self._category_rows.of(category))

    def standardised(self, vectors: F32) -> F32:
        """Item vectors (n, d) moved and scaled to mean 0 and mean squared length 1 over the samples trained on."""
        standard: F32 = (vectors - self.weights.centre.numpy()) / self.weights.spread.numpy()
        return standard

    def interests(self, item: U32, category: U32, history_item: U32, history_category: U32) -> F32:
        """Interests (n, d) of n samples; keys (n,) and histories (n, L), newest first, padded with `NO_KEY`."""
        return np.concatenate(_in_chunks(self._interests, item, category, history_item, history_category))

    def encode_block(self, block: SampleBlock) -> SampleBlock:
        """`block` with this version's logits and match keys."""
        columns = block.item, block.category, block.history_item, block.history_category
        logit, match_key = zip(*_in_chunks(self._encode, *columns), strict=True)
        return block.with_encoding(expected(block.base, np.concatenate(logit)), np.concatenate(match_key), self.id)

    def features(self, interest: F32 | F16, item: U32, category: U32) -> F32:
        """What a head sees, (n, 3d): interest, item vector, their product; interest (n, d) may be float16."""
        return _features(interest.astype(np.float32, copy=False), self.item_vectors(item, category))

    def logits(self, features: F32) -> F32:
        """The cloud head's logits (n,) of features (n, 3d)."""
        hidden = np.maximum(features @ self.head.w1 + self.head.b1, 0)
        logit: F32 = hidden @ self.head.w2 + self.head.b2[0]
        return logit

    def predict(self, block: SampleBlock) -> F32:
        """Click probabilities (n,) of the samples in `block`, encoded here."""
        interest = self.interests(block.item, block.category, block.history_item, block.history_category)
        return sigmoid(self.logits(self.features(interest, block.item, block.category)))

    def item_rows(self, keys: U32) -> Tensor:
        """Rows of the item table for `keys`, same shape, int64; 0 for unknown ones and padding."""
        return torch.from_numpy(self._item_rows.of(keys))

    def category_rows(self, keys: U32) -> Tensor:
        """Rows of the category table for `keys`, same shape, int64; 0 for unknown ones and padding."""
        return torch.from_numpy(self._category_rows.of(keys))

    @cached_property
    def _item_rows(self) -> KeyRows:
        return KeyRows(self.item_keys)

    @cached_property
    def _category_rows(self) -> KeyRows:
        return KeyRows(self.category_keys)

    @cached_property
    def _rarity(self) -> F32:
        return rarity(self.weights.taken.numpy())

    @cached_property
    def nbytes(self) -> int:
        """Bytes of the parameters in memory."""
        tensors = [getattr(self.weights, f.name) for f in fields(Weights)]
        return sum(int(t.nbytes) for t in tensors) + self.head.flat().nbytes

    def _encode(self, item: U32, category: U32, history_item: U32, history_category: U32) -> tuple[F32, F32]:
        """Logits (n,) and match keys (n, KEY_DIM)."""
        rows, target, slots = self._looked_up(item, category, history_item, history_category)
        looks = np.empty((len(target), 2, DIM), np.float32)
        looks[:, 0], looks[:, 1] = self._looks(target), self._plain_look
        interest, pooled = _seen(slots, looks, self._recency, history_item).swapaxes(0, 1)
        keys = two_view_keys(unit(pooled), history_item, self._rarity[rows])
        return self.logits(_features(interest, target)), keys

    def _interests(self, item: U32, category: U32, history_item: U32, history_category: U32) -> F32:
        _, target, slots = self._looked_up(item, category, history_item, history_category)
        return _seen(slots, self._looks(target)[:, None], self._recency[:1], history_item)[:, 0]

    def _looked_up(self, item: U32, category: U32, history_item: U32, history_category: U32) -> tuple[I64, F32, F32]:
        """Item rows (n, L) of histories; vectors of targets (n, d), and of histories and the null slot (n, L + 1, d).

        `Weights.slots` on arrays. Targets are looked up with their histories, in the null slot's place, before that
        takes it: of few rows it is calls that take time.
        """
        rows = self._item_rows.of(np.concatenate([history_item, item[:, None]], axis=1))
        category_rows = self._category_rows.of(np.concatenate([history_category, category[:, None]], axis=1))
        slots = self._vectors(rows, category_rows)
        target = slots[:, -1].copy()
        slots[:, -1] = _numpy(self.weights.null)
        return rows[:, :-1], target, slots

    def _vectors(self, item_rows: I64, category_rows: I64) -> F32:
        vectors: F32 = _numpy(self.weights.items).take(item_rows, axis=0)
        vectors += _numpy(self.weights.categories).take(category_rows, axis=0)
        return vectors

    def _looks(self, target: F32) -> F32:
        """How each target (n, d) looks at a history."""
        looks: F32 = target @ _numpy(self.weights.attention) / np.float32(DIM**0.5)
        return looks

    @cached_property
    def _plain_look(self) -> F32:
        """How a history is looked at without a target, (d,)."""
        return _numpy(self.weights.pool_query) / np.float32(DIM**0.5)

    @cached_property
    def _recency(self) -> F32:
        """What a slot's place is worth, (2, L + 1): to a target, and without one."""
        return np.stack([_numpy(self.weights.attention_recency), _numpy(self.weights.pool_recency)])


def _features(interest: F32, target: F32) -> F32:
    return np.concatenate([interest, target, interest * target], axis=1)


def _seen(slots: F32, looks: F32, recency: F32, history_item: U32) -> F32:
    """What v looks (n, v, d) see of histories, (n, v, d): slots (n, L + 1, d), recency (v, L + 1).

    The arithmetic of `Weights.interest` and `pooled` on arrays, whose calls cost less than torch's where rows are few.
    """
    score = looks @ slots.swapaxes(1, 2) + recency
    np.copyto(score[:, :, :-1], -np.inf, where=(history_item == NO_KEY)[:, None])
    share = np.exp(score - score.max(axis=2, keepdims=True))
    share /= share.sum(axis=2, keepdims=True)
    seen: F32 = share @ slots
    return seen


def _in_chunks(encode: Callable[..., T], *columns: U32) -> list[T]:
    """What `encode` makes of the rows of `columns`, chunk by chunk; at least one chunk, if of no rows."""
    return [encode(*(c[at : at + _CHUNK] for c in columns)) for at in range(0, max(len(columns[0]), 1), _CHUNK)]


def sigmoid(logit: F32) -> F32:
    """Probabilities of logits, without overflow."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -60, 60))), np.float32)


def random_model(items: U32, categories: U32, seed: int, version: int = 1) -> CloudModel:
    """An untrained model that knows `items` and `categories` (keys, any order): a start for training, or for tests.

    >>> model = random_model(np.array([5, 3], np.uint32), np.array([9], np.uint32), seed=0)
    >>> model.item_rows(np.array([3, 5, 4], np.uint32)).tolist()
    [1, 2, 0]
    """
    rng = np.random.default_rng(seed)
    item_keys, category_keys = known_keys(items), known_keys(categories)

    def normal(*shape: int, scale: float) -> F32:
        return rng.normal(0, scale, shape).astype(np.float32)

    weights = Weights(
        items=half(normal(len(item_keys) + 1, DIM, scale=0.05)),
        categories=half(normal(len(category_keys) + 1, DIM, scale=0.05)),
        attention=torch.eye(DIM),
        attention_recency=torch.zeros(HISTORY_LEN + 1),
        pool_query=torch.from_numpy(normal(DIM, scale=0.1)),
        pool_recency=torch.zeros(HISTORY_LEN + 1),
        null=torch.from_numpy(normal(DIM, scale=0.05)),
        centre=torch.zeros(DIM),
        spread=torch.ones(1),
        taken=torch.zeros(len(item_keys) + 1),
    )
    w1 = normal(3 * DIM, HIDDEN, scale=(2 / (3 * DIM)) ** 0.5)
    head = HeadParams(w1, np.zeros(HIDDEN, np.float32), normal(HIDDEN, scale=0.1), np.zeros(1, np.float32))
    return CloudModel(
        version=version, trained_until=0, item_keys=item_keys, category_keys=category_keys, weights=weights, head=head
    )


def half(table: F32) -> Tensor:
    """A table rounded to what float16 can hold, as float32."""
    return torch.from_numpy(table.astype(np.float16).astype(np.float32))


def known_keys(keys: U32) -> U32:
    """The sorted distinct keys, without padding."""
    distinct = np.unique(keys)
    known: U32 = distinct[distinct != NO_KEY]
    return known


def _numpy(tensor: Tensor) -> F32:
    array: F32 = tensor.numpy()
    return array
