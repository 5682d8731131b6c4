"""The door: numbers that are not finite and vectors of the wrong width never reach an index.

hnswlib takes NaN without a word and then shows it in the results of other queries.
"""

import numpy as np

from index.spec import PoolSpec
from models.sample import SampleBlock
from wire.arrays import F32
from wire.errors import VectorError

LARGEST = 1e9  # of a match key: an inner product of such vectors still fits float32


def check_block(block: SampleBlock, spec: PoolSpec) -> None:
    """Raises `VectorError`, naming the row, unless logits are finite, and match keys too and as wide as `spec` says."""
    assert block.logit is not None and block.match_key is not None, "the block is not encoded"
    check_vectors(block.logit[:, None], 1, "logit", float(np.finfo(np.float16).max))
    check_vectors(block.match_key, spec.key_dim, "match key")


def check_vectors(vectors: F32, dim: int, what: str, largest: float = LARGEST) -> None:
    """Raises `VectorError` unless `vectors` is (n, dim) and no component is NaN or beyond ±`largest`."""
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise VectorError(f"{what}s have shape {vectors.shape}, the pool's are {dim} wide: encode with its model")
    good = np.abs(vectors) <= largest  # false for NaN too
    if not good.all():
        row = int(good.all(axis=1).argmin())
        raise VectorError(
            f"{what} in row {row} of {len(vectors)} is not finite (or beyond {largest:g}): check the model"
        )
