"""The candidates of one match for one device; how they travel is the business of `wire.batch`.

A candidate says nothing about who it came from, and does without the other user's interest vector: a device adds to
what the cloud model expects of a sample, so that number is all it needs.
"""

from dataclasses import dataclass

import numpy as np

from wire.arrays import F16, U8, U32
from wire.columns import Columns
from wire.identity import ModelId


@dataclass(frozen=True, slots=True)
class Candidates(Columns):
    """n samples of other users in columns: what the cloud model expects of each, its keys and label, how many positives
    of the item its user had before (`SampleBlock.times`), and its age in event time at the query, in seconds."""

    logit: F16
    item: U32
    category: U32
    label: U8
    times: U8
    age_s: U32


@dataclass(frozen=True, slots=True)
class CandidateBatch:
    """One match's result for one device.

    `batch_seq` counts up per device, the newest wins; `model` is the cloud model that encoded it.
    Event time: `query_timestamp`. Wall clock (ms): `produced_ms` of the event that triggered the match,
    `matched_ms` when the search was done. `matched` is the coarse-grained retrieval, `random` as many random samples
    of the pool (none with `coda flow --no-random`): all arms but cloud and local learn from these too. `similarity`
    (matched,) is that of each matched sample's match key to the user's, −1 to 1.
    """

    user_id: str
    batch_seq: int
    model: ModelId
    query_timestamp: int
    produced_ms: int
    matched_ms: int
    matched: Candidates
    similarity: F16
    random: Candidates

    @property
    def version(self) -> int:
        """The number of its cloud model."""
        return self.model.version


def no_candidates() -> Candidates:
    """An empty set of candidates."""
    none, no_bytes = np.zeros(0, np.uint32), np.zeros(0, np.uint8)
    return Candidates(
        logit=np.zeros(0, np.float16), item=none, category=none, label=no_bytes, times=no_bytes, age_s=none
    )
