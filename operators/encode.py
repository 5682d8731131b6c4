"""Encode: drafts of many users become one block of samples with vectors, and queries become match keys."""

from collections.abc import Sequence

from models.cloud_model import CloudModel
from models.sample import SampleBlock, block_of
from operators.user import Query
from wire.arrays import F32
from wire.ids import NO_KEY
from wire.sample import SampleRecord


def encode(records: Sequence[SampleRecord], queries: Sequence[Query], model: CloudModel) -> tuple[SampleBlock, F32]:
    """The samples in columns, encoded by `model`, and by what to search the pool for the queries, (q, KEY_DIM).

    One call of the model makes both, which costs as much by itself as 50 more rows: a query is a sample of no item.
    """
    block = model.encode_block(block_of([*records, *map(_of_no_item, queries)]))
    assert block.match_key is not None, "it is encoded"
    return block.take(slice(len(records))), block.match_key[len(records) :]


def _of_no_item(query: Query) -> SampleRecord:
    known = query.history_item, query.history_category
    return SampleRecord(0, query.user, NO_KEY, NO_KEY, 0, 0, query.before_ms, query.produced_ms, *known)
