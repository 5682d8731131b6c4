"""Personal heads: what a device adds to the cloud head's logit, a few kB each; many at once.

A head adds taste · x(item) + a bias of the item + a bias of the category, x being the item's standardised vector
(`CloudModel.standardised`). `models.head_fit` finds the numbers; a head that adds nothing is the cloud's opinion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.cloud_model import DIM
from models.runs import places
from wire.arrays import F32, F64, I64, U32, U64

NO_BIAS = np.uint64(2**64 - 1)  # pads bias keys; sorts last
_CATEGORY = np.uint64(1 << 32)  # items and categories are named from one key space, so mark categories
KEY_BITS = np.uint64(33)  # above them there is room for the head's number: one integer sorts faster than two
BIAS_KEY = np.uint64((1 << 33) - 1)


@dataclass(slots=True)
class Heads:
    """G personal heads: `taste` (G, d), and sorted `bias_keys` (G, S), padded with `NO_BIAS`, with `bias_values`."""

    taste: F32
    bias_keys: U64
    bias_values: F32

    def __len__(self) -> int:
        return len(self.taste)

    @classmethod
    def none(cls, count: int) -> Self:
        """`count` heads that add nothing."""
        shape = (count, 0)
        return cls(np.zeros((count, DIM), np.float32), np.zeros(shape, np.uint64), np.zeros(shape, np.float32))

    @classmethod
    def of(cls, taste: F64 | F32, head: I64, key: U64, value: F64 | F32) -> Self:
        """Heads with these tastes, bias i of head `head[i]` being `value[i]` for `key[i]`; repeated keys add up.

        >>> one = Heads.of(np.zeros((2, DIM)), np.array([1, 1, 1]), np.array([9, 4, 9], np.uint64), np.ones(3))
        >>> one.bias_keys[1].tolist(), one.bias_values[1].tolist()
        ([4, 9], [1.0, 2.0])
        """
        owned, number = np.unique(head.astype(np.uint64) << KEY_BITS | key, return_inverse=True)
        total = np.bincount(number, value, len(owned))
        owner = (owned >> KEY_BITS).astype(np.int64)
        counts = np.bincount(owner, minlength=len(taste))
        place = places(counts)
        keys = np.full((len(taste), int(counts.max(initial=0))), NO_BIAS)
        values = np.zeros(keys.shape, np.float32)
        keys[owner, place], values[owner, place] = owned & BIAS_KEY, total
        return cls(taste.astype(np.float32), keys, values)

    @classmethod
    def sharing_keys(cls, taste: F64, device: I64, key: U64, value: F64) -> Self:
        """H heads for each of G devices, number g · H + h, from tastes (G, H, d), with biases for the same keys:
        bias i of device `device[i]` has the values `value[i]` (H,) for `key[i]`; no key comes twice.
        """
        devices, heads, dim = taste.shape
        order = np.argsort(device.astype(np.uint64) << KEY_BITS | key)
        counts = np.bincount(device, minlength=devices)
        at, place = device[order], places(counts)
        keys = np.full((devices, int(counts.max(initial=0))), NO_BIAS)
        values = np.zeros((devices, heads, keys.shape[1]), np.float32)
        keys[at, place], values[at, :, place] = key[order], value[order]
        tastes = taste.reshape(-1, dim).astype(np.float32)
        return cls(tastes, np.repeat(keys, heads, axis=0), values.reshape(len(tastes), -1))

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """All heads of `parts` (at least one), in order."""
        width = max(part.bias_keys.shape[1] for part in parts)
        keys = np.concatenate([_widen(part.bias_keys, width, NO_BIAS) for part in parts])
        values = np.concatenate([_widen(part.bias_values, width, 0) for part in parts])
        return cls(np.concatenate([part.taste for part in parts]), keys, values)

    def plus(self, others: Self) -> Self:
        """Heads that add what these and what `others` (as many) add."""
        (head, key, value), (more_heads, more_keys, more_values) = self._biases(), others._biases()
        return type(self).of(
            self.taste + others.taste,
            np.concatenate([head, more_heads]),
            np.concatenate([key, more_keys]),
            np.concatenate([value, more_values]),
        )

    def scaled(self, share: F64) -> Self:
        """Heads that add `share` (G,) of what these add."""
        column = share[:, None].astype(np.float32)
        return type(self)(column * self.taste, self.bias_keys, column * self.bias_values)

    def take(self, which: I64) -> Self:
        """Copies of the heads `which`, in that order."""
        width = int((self.bias_keys[which] != NO_BIAS).sum(axis=1).max(initial=0))
        return type(self)(self.taste[which], self.bias_keys[which, :width], self.bias_values[which, :width])

    def put(self, which: I64, heads: Self) -> None:
        """Replace the heads `which` (distinct) by `heads`; bias columns grow as needed."""
        width = max(self.bias_keys.shape[1], heads.bias_keys.shape[1])
        self.bias_keys = _widen(self.bias_keys, width, NO_BIAS)
        self.bias_values = _widen(self.bias_values, width, 0)
        self.taste[which] = heads.taste
        self.bias_keys[which] = _widen(heads.bias_keys, width, NO_BIAS)
        self.bias_values[which] = _widen(heads.bias_values, width, 0)

    def parts(self, which: I64, x: F32, item: U32, category: U32) -> F32:
        """What taste, item's and category's bias of head `which[r]` add (r, 3) to the cloud's logit of a sample: its
        item's vector x[r] (r, d), and keys.
        """
        taste = np.einsum("nd,nd->n", self.taste[which], x)
        item_bias, category_bias = (
            self._bias(which, key) for key in (item_bias_key(item), category_bias_key(category))
        )
        return np.stack([taste, item_bias, category_bias], axis=1)

    def added(self, which: I64, x: F32, item: U32, category: U32) -> F32:
        """What head `which[r]` adds (r,) in all."""
        added: F32 = self.parts(which, x, item, category).sum(axis=1)
        return added

    def _biases(self) -> tuple[I64, U64, F32]:
        head, place = np.nonzero(self.bias_keys != NO_BIAS)
        return head, self.bias_keys[head, place], self.bias_values[head, place]

    def _bias(self, which: I64, keys: U64) -> F32:
        """The bias that head `which[r]` has for `keys[r]`, else 0: one binary search in all rows at once."""
        width = self.bias_keys.shape[1]
        if width == 0:
            return np.zeros(len(which), np.float32)
        sorted_keys, before = self.bias_keys.ravel(), width * which - 1
        passed = np.zeros(len(which), np.int64)  # so many of the row's keys are smaller, as far as is known
        for bit in reversed(range(width.bit_length())):
            tried = np.minimum(passed + (1 << bit), width)
            passed = np.where(sorted_keys.take(before + tried) < keys, tried, passed)
        at = before + np.minimum(passed + 1, width)
        return np.where(sorted_keys.take(at) == keys, self.bias_values.ravel().take(at), np.float32(0))


def item_bias_key(item: U32) -> U64:
    """What an item's bias is kept under."""
    return item.astype(np.uint64)


def category_bias_key(category: U32) -> U64:
    """What a category's bias is kept under."""
    return category.astype(np.uint64) | _CATEGORY


def _widen(column: NDArray[Any], width: int, fill: Any) -> NDArray[Any]:
    return np.pad(column, [(0, 0), (0, width - column.shape[1])], constant_values=fill)
