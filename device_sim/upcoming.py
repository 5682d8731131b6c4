"""The cloud model that a device will use next: taken up with the first batch by it, or after a while without one.

Until then the device goes on predicting and training with the model and the batch that it has, which fit each other,
while the cloud encodes its pool. Then devices ask for a batch by the new model one after the other, those in use first.
"""

import math

from xxhash import xxh32_intdigest

from device_sim.stimulus import ModelArrived
from wire.identity import ModelId

LONGEST_MS = 30_000  # a pool of 200,000 samples is encoded anew in 6 s; a minute after it came all are to have trained
# When devices ask: a match is 2 ms of a core, so 2,000 at once would stop the dataflow for 4 s. What its user does may
# get a device that is in use a batch sooner.
IN_USE_MS = (3_000, 8_000)
IDLE_MS = (8_000, 23_000)


class Upcoming:
    """`arrival` is how the model came, None while there is none; `until_ms` is when it is taken up at the latest."""

    __slots__ = ("arrival", "until_ms")

    def __init__(self) -> None:
        self.arrival: ModelArrived | None = None
        self.until_ms = math.inf

    def note(self, arrival: ModelArrived, now_ms: int) -> None:
        """A model came; a newer one takes the place of one that waits, and waits no longer for that."""
        self.arrival = arrival
        self.until_ms = min(self.until_ms, now_ms + LONGEST_MS)

    def clear(self) -> None:
        """There is none any more."""
        self.arrival, self.until_ms = None, math.inf

    def known(self, model: ModelId) -> ModelId:
        """The newest model that a device knows of which uses `model`."""
        return self.arrival.model if self.arrival is not None else model


def asks_after_ms(user_id: str, in_use: bool) -> int:
    """How long after a model came a device asks for a batch by it."""
    first_ms, last_ms = IN_USE_MS if in_use else IDLE_MS
    return first_ms + xxh32_intdigest(user_id.encode()) % (last_ms - first_ms)
