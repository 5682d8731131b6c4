"""A candidate batch out of nowhere, for benchmarks of what devices do with one."""

from wire.arrays import F16
from wire.candidates import CandidateBatch, Candidates
from wire.identity import ModelId


def some_batch(
    user_id: str, seq: int, model: ModelId, similarity: F16, *, matched: Candidates, random: Candidates
) -> CandidateBatch:
    """A batch of these candidates that was asked for, matched and sent at moment 0."""
    return CandidateBatch(
        user_id=user_id,
        batch_seq=seq,
        model=model,
        query_timestamp=0,
        produced_ms=0,
        matched_ms=0,
        matched=matched,
        similarity=similarity,
        random=random,
    )
