"""What became of everything that was attempted, in Jepsen's words: of events, and of batches."""

import msgspec

from streams.faults.history import History


class Fates(msgspec.Struct, frozen=True, kw_only=True):
    """Counts. `lost`: acknowledged (or, with a device to answer for it, attempted) and gone. `unexpected`: there though
    nobody attempted it. `duplicated`: there more than once, with effect. `recovered`: begun while faults were on, done
    after.
    """

    attempted: int
    acknowledged: int
    lost: int
    unexpected: int
    duplicated: int
    recovered: int


def fates_of_events(history: History, pooled: frozenset[int], window_ms: tuple[int, int]) -> Fates:
    """Of every event that a user did: it has to be in Kafka, and then in the pool on disk or refused by name.

    `pooled` are the samples that the pool holds.
    """
    done = pooled | history.refused
    return Fates(
        attempted=len(history.attempted),
        acknowledged=len(history.acknowledged),
        lost=len((history.attempted.keys() | history.acknowledged.keys()) - done),
        unexpected=len(done - history.attempted.keys() - history.acknowledged.keys()) + len(
            history.acknowledged.keys() - history.attempted.keys()
        ),
        duplicated=len(pooled & history.refused),
        recovered=sum(
            window_ms[0] <= at_ms < window_ms[1] <= history.acknowledged.get(key, 0)
            for key, at_ms in history.attempted.items()
        ),
    )  # fmt: skip


def fates_of_batches(history: History, window_ms: tuple[int, int]) -> Fates:
    """Of every batch: each device has to answer for its last one, or for a higher number (`streams.tunnel.ledger`)."""
    told = {batch: at_ms for batch, at_ms in history.answers.items() if batch[1] >= 0}
    standing = {(device, report.answered_seq) for device, report in history.reports.items()}
    last, highest = dict(history.batches.keys()), dict(sorted(told.keys() | standing))
    return Fates(
        attempted=len(history.batches),
        acknowledged=len(told),
        lost=sum(seq > highest.get(device, -1) for device, seq in last.items()),
        unexpected=len(told.keys() - history.batches.keys()),
        duplicated=sum(len(counts) > 1 for counts in history.accepted.values()),
        recovered=sum(
            window_ms[0] <= at_ms < window_ms[1] <= told.get(batch, 0) for batch, at_ms in history.batches.items()
        ),
    )
