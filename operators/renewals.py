"""Whose batch a new cloud model has outdated: with what its user does next another one is made, so many a second.

Devices take a model up with the first batch by it, and those in use are not to wait for it until they are due or ask.
All at once these matches would hold up what comes meanwhile; so whoever comes too soon is due with the event after.
"""

from collections.abc import Callable

from wire.clock import Clock
from wire.identity import NO_MODEL, ModelId
from wire.moments import SteadyMs

# 125 a second: 1 to 3.5 ms of a core each over 200,000 samples, alone or 32 at a time, and 8 ms where it is trained on.
# 500 active devices take 4 s, and half of two cores.
EACH_MS = 8
AT_ONCE_MS = 100  # what is not used up is saved for so long: passes of a busy dataflow are as far apart


class Renewals:
    """`served` gives the cloud model by which matches are answered now; `NO_MODEL` while there is none, or several:
    what is asked then is answered by the newer one in the end.
    """

    def __init__(self, served: Callable[[], ModelId], clock: Clock) -> None:
        self.served, self._clock = served, clock
        self._next_ms = SteadyMs(0)

    def due(self, model: ModelId) -> bool:
        """Whether a match is to be made anew now that was made while `model` answered; then that counts as done."""
        served = self.served()
        if served == model or NO_MODEL in (served, model):
            return False
        now_ms = self._clock.steady_ms()
        if now_ms < self._next_ms:
            return False
        self._next_ms = SteadyMs(max(self._next_ms, now_ms - AT_ONCE_MS) + EACH_MS)
        return True
