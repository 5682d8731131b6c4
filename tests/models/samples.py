"""Small sample blocks whose clicks can be learned, for tests of models and trainers."""

from typing import Any

import numpy as np

from models.history import History
from models.sample import SampleBlock, pad_histories
from wire.arrays import I64
from wire.sample import HISTORY_LEN, SampleRecord, encode_record


def tasteful_samples(n: int, seed: int, users: int = 40, items: int = 60, start: int = 0) -> SampleBlock:
    """n samples of users who like one of 4 categories: clicks follow the taste 9 times of 10, a second apart."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, n)
    item = rng.integers(1, items + 1, n).astype(np.uint32)
    category = (item % 4 + 1).astype(np.uint32)
    label = ((user % 4 == item % 4) == (rng.random(n) < 0.9)).astype(np.uint8)
    timestamp: I64 = (start + np.arange(1, n + 1)) * 1000
    histories: dict[int, History] = {}
    history_item, history_category = [], []
    for row in range(n):
        history = histories.setdefault(int(user[row]), History())
        items_before, categories_before = history.before(int(timestamp[row]))
        history_item.append(items_before)
        history_category.append(categories_before)
        if label[row]:
            history.add(int(timestamp[row]), int(item[row]), int(category[row]))
    return SampleBlock(
        sample=np.arange(start + 1, start + n + 1, dtype=np.uint64),
        user=(user + 1).astype(np.uint64),
        item=item,
        category=category,
        label=label,
        times=(item % 3).astype(np.uint8),
        timestamp=timestamp,
        produced_ms=timestamp,
        history_item=pad_histories(history_item),
        history_category=pad_histories(history_category),
        base=np.full(n, np.nan, np.float32),
    )


def messages_of(block: SampleBlock) -> list[bytes]:
    """Each sample of `block` as the dataflow puts it on Kafka `samples`."""
    names = SampleRecord.__struct_fields__[:8]
    rows = zip(*(getattr(block, name).tolist() for name in names), strict=True)
    rest = zip(block.history_item, block.history_category, block.base.tolist(), strict=True)
    messages = []
    for scalars, (items, categories, base) in zip(rows, rest, strict=True):
        scalar: dict[str, Any] = dict(zip(names, scalars, strict=True))
        known = items != 0
        scalar |= {"history_item": items[known].tobytes(), "history_category": categories[known].tobytes()}
        scalar["base"] = None if np.isnan(base) else base
        messages.append(encode_record(SampleRecord(**scalar)))
    return messages


def wide_catalogue(n: int, items: int, seed: int, start: int = 0) -> SampleBlock:
    """n samples, a second apart, of items drawn evenly from so many, with full histories: nearly all occur."""
    rng = np.random.default_rng(seed)
    keys = rng.integers(1, 2**32, items, np.uint32)  # spread as hashes are
    item, history = keys[rng.integers(0, items, n)], keys[rng.integers(0, items, (n, HISTORY_LEN))]
    timestamp: I64 = (start + np.arange(1, n + 1)) * 1000
    return SampleBlock(
        sample=np.arange(start + 1, start + n + 1, dtype=np.uint64),
        user=rng.integers(1, 1000, n, np.uint64),
        item=item,
        category=item % np.uint32(40) + np.uint32(1),
        label=(item % 40 < 20).astype(np.uint8),  # their categories say it
        times=np.zeros(n, np.uint8),
        timestamp=timestamp,
        produced_ms=timestamp,
        history_item=history,
        history_category=history % np.uint32(40) + np.uint32(1),
        base=np.full(n, np.nan, np.float32),
    )
