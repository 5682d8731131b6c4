"""The personal heads that one device has in use, packed: most of their keys are the same, so each is kept once.

Eleven heads of 1,000 own and 3,200 outside samples have some 17,000 biases of 2,100 keys: 100 kB, where apart from each
other they take 200.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from models.heads import NO_BIAS, Heads, category_bias_key, item_bias_key
from wire.arrays import F32, I64, U32, U64

_KEY_BYTES = 4  # on a device, which has no other user's items beside its own


@dataclass(frozen=True, slots=True)
class PackedHeads:
    """h heads, in the order of their numbers `head` (h,): `taste` (h, d), and biases `values` (k, h) for sorted `keys`
    (k,); a bias that a head has not is 0. Nothing in it is ever changed."""

    head: I64
    taste: F32
    keys: U64
    values: F32

    def __len__(self) -> int:
        return len(self.head)

    @classmethod
    def of(cls, head: I64, heads: Heads) -> Self:
        """The `heads`, of these numbers, of one device.

        >>> heads = Heads.of(np.zeros((2, 32)), np.array([0, 1, 1]), np.array([9, 4, 9], np.uint64), np.arange(3))
        >>> packed = PackedHeads.of(np.array([3, 0]), heads)
        >>> packed.head.tolist(), packed.keys.tolist(), packed.values.tolist()
        ([0, 3], [4, 9], [[1.0, 0.0], [2.0, 0.0]])
        """
        order = np.argsort(head)
        rows = heads.bias_keys[order]
        distinct = {row.tobytes(): row for row in rows}
        keys = _union([*distinct.values(), np.array([NO_BIAS])])
        places = {name: np.searchsorted(keys, row) for name, row in distinct.items()}
        values = np.zeros((len(keys), len(head)), np.float32)
        for column, (row, value) in enumerate(zip(rows, heads.bias_values[order], strict=True)):
            values[places[row.tobytes()], column] = value
        return cls(head[order], heads.taste[order], keys[:-1], values[:-1])

    def renewed(self, newer: Self) -> Self:
        """These heads, with those in `newer` in the place of the ones of their numbers."""
        stays = (self.head[:, None] != newer.head).all(axis=1)
        if not stays.any():
            return newer
        used = self.values[:, stays].any(axis=1)
        head = np.concatenate([self.head[stays], newer.head])
        keys = _union([self.keys[used], newer.keys])
        values = np.zeros((len(keys), len(head)), np.float32)
        values[np.searchsorted(keys, self.keys[used]), : stays.sum()] = self.values[used][:, stays]
        values[np.searchsorted(keys, newer.keys), stays.sum() :] = newer.values
        taste, order = np.concatenate([self.taste[stays], newer.taste]), np.argsort(head)
        return type(self)(head[order], taste[order], keys, values[:, order])

    def unpacked(self) -> Heads:
        """The heads, each by itself."""
        return Heads(self.taste, np.tile(self.keys, (len(self), 1)), self.values.T)

    @property
    def nbytes(self) -> int:
        """What the heads take on their device."""
        return self.taste.nbytes + _KEY_BYTES * len(self.keys) + self.values.nbytes

    def parts(self, x: F32, keys: U64) -> F32:
        """What each head's taste, item's and category's bias add (n, h, 3) to the cloud's logits of n samples, as
        `Heads.parts` gives them; `keys` are `bias_keys` of their items and categories."""
        parts = np.zeros((len(x), len(self), 3), np.float32)
        np.matmul(x, self.taste.T, out=parts[:, :, 0])
        if len(self.keys):
            at = self.keys.searchsorted(keys)
            found = self.keys.take(at, mode="clip") == keys
            bias = self.values.take(at, axis=0, mode="clip") * found[:, :, None]
            parts[:, :, 1:] = bias.swapaxes(1, 2)
        return parts


def parts_of_each(heads: Sequence[PackedHeads], x: F32, keys: U64) -> F32:
    """What `heads[n]` add to sample n, (n, h, 3), to the bit as `PackedHeads.parts` gives it.

    Each (at least one) has h heads, and all have biases or none. It takes a quarter of what a call for each takes.
    """
    parts = np.zeros((len(heads), len(heads[0]), 3), np.float32)
    taste = np.concatenate([each.taste for each in heads]).reshape(*parts.shape[:2], -1)
    np.matmul(x[:, None], taste.swapaxes(1, 2), out=parts[:, None, :, 0])
    if len(heads[0].keys):
        at = [each.keys.searchsorted(wanted) for each, wanted in zip(heads, keys, strict=True)]
        near = [each.keys.take(place, mode="clip") for each, place in zip(heads, at, strict=True)]
        bias = [each.values.take(place, axis=0, mode="clip") for each, place in zip(heads, at, strict=True)]
        found = np.concatenate(near).reshape(keys.shape) == keys
        parts[:, :, 1:] = (np.concatenate(bias).reshape(*keys.shape, -1) * found[:, :, None]).swapaxes(1, 2)
    return parts


def bias_keys(item: U32, category: U32) -> U64:
    """What the biases of n items and their categories are kept under, (n, 2)."""
    return np.stack([item_bias_key(item), category_bias_key(category)], axis=1)


def _union(keys: Sequence[U64]) -> U64:
    """All that are in any of these; they are sorted, so that sorting them takes a tenth of `np.unique`."""
    together = np.sort(np.concatenate(keys), kind="stable")
    distinct: U64 = together[np.append(True, together[1:] != together[:-1])[: len(together)]]
    return distinct


NO_HEADS = PackedHeads.of(np.zeros(0, np.int64), Heads.none(0))
