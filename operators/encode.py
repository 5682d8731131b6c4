"""Encode: drafts of many users become one block of samples with vectors, and queries become match keys."""

from collections.abc import Sequence

import numpy as np

from models.cloud_model import CloudModel
from models.sample import SampleBlock, block_of, pad_histories
from models.signature import KEY_DIM
from operators.user import Query
from wire.arrays import F32
from wire.sample import SampleRecord


def encode(records: Sequence[SampleRecord], model: CloudModel) -> SampleBlock:
    """The samples in columns, encoded by `model`."""
    return model.encode_block(block_of(records))


def query_keys(queries: Sequence[Query], model: CloudModel) -> F32:
    """What to search the pool by, (q, KEY_DIM), from the histories in `queries`."""
    if not queries:
        return np.zeros((0, KEY_DIM), np.float32)
    items = pad_histories([q.history_item for q in queries])
    return model.match_keys(items, pad_histories([q.history_category for q in queries]))
