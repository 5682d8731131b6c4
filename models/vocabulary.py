"""Which items and categories a cloud model knows by name: as many as its message has room for, the most taken first.

Every name costs a row of a table, and a model travels as one message, whose size the broker limits. Names that have no
room share the unknown row, as names do that are newer than the model, and training goes on with them in it.

What a name is worth is how often it was taken, an old positive counting for less than a new one: without ageing, what
was popular once would keep its row for ever (after the aged counts of TinyLFU, Einziger, Friedman and Manes 2017).
"""

from typing import NamedTuple

import numpy as np

from wire.arrays import F32, F64, U32
from wire.errors import InputError

MODEL_BYTES = 8 << 20  # the largest message that a model may be: 116,000 items
ITEM_BYTES, CATEGORY_BYTES = 72, 68  # a row of 32 float16 and its key, and how often an item was taken
REST_BYTES = 32 << 10  # everything else is 19 kB; then headers that say what was learned, and the envelope
CATEGORY_SHARE = 4  # categories get a quarter of the room, or what items leave
HALF_LIFE_MS = 7 * 86_400_000  # of a positive's worth: a shop's week counts as a whole


class Names(NamedTuple):
    """Names of one kind: distinct keys (n,), sorted, and what each is worth (n,)."""

    keys: U32
    worth: F64

    def best(self, most: int) -> U32:
        """The `most` keys of the greatest worth, sorted; of equal ones those with the smaller keys.

        >>> Names(np.array([3, 5, 8], np.uint32), np.array([1.0, 2.0, 1.0])).best(2).tolist()
        [3, 5]
        """
        if len(self.keys) <= most:
            return self.keys
        best: U32 = np.sort(self.keys[np.argsort(-self.worth, kind="stable")[:most]])
        return best


class Vocabulary(NamedTuple):
    """The item and category keys that a model has rows for, and how many names were left out."""

    items: U32
    categories: U32
    left_out: int


def choose(items: Names, categories: Names, limit_bytes: int) -> Vocabulary:
    """As many names as a model of at most `limit_bytes` has room for; raises `InputError` where it has none at all."""
    room = limit_bytes - REST_BYTES
    if room < ITEM_BYTES + CATEGORY_BYTES * CATEGORY_SHARE:
        raise InputError(
            f"Kafka takes no models of more than {limit_bytes} bytes: that leaves no room for items; "
            "set max.message.bytes of the topic models to 8388608"
        )
    for_categories = max(room // CATEGORY_SHARE, room - ITEM_BYTES * len(items.keys)) // CATEGORY_BYTES
    best_categories = categories.best(for_categories)
    best_items = items.best((room - CATEGORY_BYTES * len(best_categories)) // ITEM_BYTES)
    seen = len(items.keys) + len(categories.keys)
    return Vocabulary(best_items, best_categories, seen - len(best_items) - len(best_categories))


def aged(taken: F32, elapsed_ms: int) -> F32:
    """What positives (n,) are worth after so much more event time."""
    worth: F32 = taken * np.float32(0.5 ** (max(0, elapsed_ms) / HALF_LIFE_MS))
    return worth


def positives(keys: U32, taken: U32) -> F64:
    """How often each of the sorted `keys` (n,) is among `taken` (m,), all of which are known."""
    return np.bincount(np.searchsorted(keys, taken), minlength=len(keys)).astype(np.float64)
