"""The cloud model that a device will use next: taken up with the first batch by it, or after a while without one.

Until then the device goes on predicting and training with the model and the batch that it has, which fit each other,
while the cloud encodes its pool. Once it has, whoever is in use gets a batch with what its user does next
(`operators.renewals`). Others ask for one, one after the other.
"""

import math

from xxhash import xxh32_intdigest

from device_sim.stimulus import ModelArrived
from wire.identity import ModelId

LONGEST_MS = 30_000  # a pool of 200,000 samples is encoded anew in 6 s; a minute after it came all are to have trained
# When devices ask that have got none: whoever is in use gets one as soon as there is any. A match is 1 to 3.5 ms of a
# core, so 2,000 at once would stop the dataflow for 2 s or more.
ASK_MS = (10_000, 25_000)


class Upcoming:
    """`arrival` is how the model came, None while there is none; from `asks_ms` on the device asks for a batch by it,
    and at `until_ms` it is taken up at the latest."""

    __slots__ = ("arrival", "asks_ms", "until_ms")

    def __init__(self) -> None:
        self.arrival: ModelArrived | None = None
        self.asks_ms = 0
        self.until_ms = math.inf

    def note(self, arrival: ModelArrived, user_id: str, now_ms: int) -> None:
        """A model came; a newer one takes the place of one that waits, and waits no longer for that."""
        self.arrival = arrival
        self.asks_ms = now_ms + asks_after_ms(user_id)
        self.until_ms = min(self.until_ms, now_ms + LONGEST_MS)

    def clear(self) -> None:
        """There is none any more."""
        self.arrival, self.until_ms = None, math.inf

    def known(self, model: ModelId) -> ModelId:
        """The newest model that a device knows of which uses `model`."""
        return self.arrival.model if self.arrival is not None else model


def asks_after_ms(user_id: str) -> int:
    """How long after a model came a device asks for a batch by it."""
    first_ms, last_ms = ASK_MS
    return first_ms + xxh32_intdigest(user_id.encode()) % (last_ms - first_ms)
