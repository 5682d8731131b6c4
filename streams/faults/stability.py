"""How long things took until nothing about them changed any more, and what was read though it was out of date."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec
import numpy as np

from streams.faults.history import Batch, History

Key = TypeVar("Key")
STALE_AFTER_MS = 2_000  # a newer batch is on its way so long; what a device takes within it was not out of date


class Spread(msgspec.Struct, frozen=True):
    """p50 and p99 of something in seconds, and of how many."""

    count: int
    p50_s: float
    p99_s: float


class Stability(msgspec.Struct, frozen=True, kw_only=True):
    """Time to stable, by what became stable, and of stale reads how old they were.

    An event is stable once its sample is out, a batch once its device has answered for it.
    """

    uploaded: Spread
    pooled: Spread
    answered: Spread
    stale_reads: Spread


class Moment(msgspec.Struct, frozen=True):
    """The p99 of age when pooled, of what was pooled within the second before `at_s` of live stream."""

    at_s: float
    p99_s: float


def ages_over_time(history: History, live_ms: int) -> list[Moment]:
    """How old events of the live stream, which began at `live_ms`, were when their samples came out, second by second.

    Counted from when the user did it: what waited on a device that was away is old.
    """
    seconds: dict[int, list[int]] = {}
    for key, done_ms in history.pooled.items():
        begun_ms = history.attempted.get(key, 0)
        if begun_ms >= live_ms:
            seconds.setdefault((done_ms - live_ms) // 1000, []).append(done_ms - begun_ms)
    return [Moment(second + 1.0, _spread(ages).p99_s) for second, ages in sorted(seconds.items())]


def stability(history: History, live_ms: int) -> Stability:
    """Of all of the live stream, which began at `live_ms`, that became stable: history is replayed as fast as it goes,
    and waits for nothing but that. What never did is lost, and the verdict's fates have it.
    """
    return Stability(
        uploaded=_spread(_ages_ms(history.attempted, history.acknowledged, live_ms)),
        pooled=_spread(_ages_ms(history.attempted, history.pooled, live_ms)),
        answered=_spread(_ages_ms(history.batches, history.answers, live_ms)),
        stale_reads=_spread(_stale_for_ms(history, live_ms)),
    )


def _ages_ms(begun: dict[Key, int], done: dict[Key, int], live_ms: int) -> list[int]:
    return [done[key] - at_ms for key, at_ms in begun.items() if at_ms >= live_ms and key in done]


def _stale_for_ms(history: History, live_ms: int) -> list[int]:
    """For each batch that a device took when a newer one had been there: for how long it had."""
    of_device: dict[str, list[Batch]] = {}
    for batch in history.batches:
        of_device.setdefault(batch[0], []).append(batch)
    found = []
    for taken in history.accepted.keys() & {batch for batch, at_ms in history.answers.items() if at_ms >= live_ms}:
        newer = [history.batches[other] for other in of_device.get(taken[0], []) if other[1] > taken[1]]
        if newer and (late_ms := history.answers[taken] - min(newer)) > STALE_AFTER_MS:
            found.append(late_ms)
    return found


def _spread(ages_ms: Sequence[int]) -> Spread:
    if not ages_ms:
        return Spread(0, 0.0, 0.0)
    p50, p99 = np.quantile(np.array(ages_ms) / 1000, (0.5, 0.99))
    return Spread(len(ages_ms), round(float(p50), 3), round(float(p99), 3))
