"""Whether a device trains at all, or stands aside, and whether it uses its heads: they must earn it (`models.gain`).

Heads are *unproven* at first, charged and not used: the first ones of a fleet are by priors that nobody learned yet,
and most of them lose. They are used once they are proven, to who doubts it, to gain what a training is worth.
Whether it trains a device decides in hope, since nobody finds out what they never try.

It stands aside as soon as it expects less of them than a training is worth, by its own events and by what the task says
of the fleet. Then it neither asks for batches nor trains, and predicts with what costs nothing: base, user bias and
repeats. It looks again after a while: it asks and trains as ever for `PROBE` events. If heads would pay it is back,
else it waits twice as long, in events of its user. It is back at once when the fleet learns that heads do pay. For that
*scouts*, one device in five, never wait: they look all the time, or a fleet all of which stands aside would hear
nothing of a stream in which heads have begun to pay.
"""

import msgspec

from device_sim.outcome import Stances
from models.gain import WORTH, expected
from wire.ids import user_key

# Own events. With these the first looks, on devices that never need any head, cost 20 of 60 events, then 20 of 100: of
# 1,000 events 100 are looks.
FIRST_WAIT = 40
SCOUTS = 5  # one device in so many: of a fleet that gains nothing, a fifth of all trainings is left
PROBE = 20  # two retrainings: the second one's heads have seen what came after the first


class AsideState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All of `Aside`, at rest."""

    stance: Stances
    events: float
    nats: float
    wait: int
    left: int


class Aside:
    """The `stance` of a user's device; it saw `events` that gained `nats` (discounted sums)."""

    __slots__ = ("_left", "_scout", "_wait", "events", "nats", "stance")

    def __init__(self, user_id: str) -> None:
        self._scout = user_key(user_id) % SCOUTS == 0
        self.stance = Stances.TRAINS
        self.events = self.nats = 0.0
        self._wait, self._left = FIRST_WAIT, 0

    @property
    def stands(self) -> bool:
        """Whether it neither asks nor trains."""
        return self.stance is Stances.ASIDE

    def met(self, gain: float | None, discount: float, fleet: float) -> Stances:
        """The stance after an own event that gained so much (None: it had not trained), by the task's `discount` and
        what it says of the `fleet`."""
        if gain is not None:
            self.events, self.nats = discount * self.events + 1, discount * self.nats + gain
        if self.stands or gain is not None:
            self._left -= 1
        pays, over = expected(self.events, self.nats, fleet) >= WORTH, self._left <= 0
        match self.stance:
            case Stances.TRAINS if not pays:
                self._stand(self._wait)
            case Stances.ASIDE if pays:
                self.stance = Stances.TRAINS
            case Stances.ASIDE if over:
                self.stance, self._left = Stances.PROBES, PROBE
            case Stances.PROBES if over and pays:
                self.stance = Stances.TRAINS
            case Stances.PROBES if over:
                self._stand(2 * self._wait)
        return self.stance

    def proven(self, fleet: float) -> bool:
        """Whether heads are good to be used, by what the task says is proven of the `fleet`."""
        return not self.stands and expected(self.events, self.nats, fleet) >= WORTH

    def state(self) -> AsideState:
        """It at rest."""
        return AsideState(self.stance, self.events, self.nats, self._wait, self._left)

    @classmethod
    def restore(cls, user_id: str, state: AsideState) -> "Aside":
        """What was at rest."""
        aside = cls(user_id)
        aside.stance, aside.events, aside.nats = state.stance, state.events, state.nats
        aside._wait, aside._left = state.wait, state.left
        return aside

    def _stand(self, wait: int) -> None:
        if self._scout:
            self.stance, self._left = Stances.PROBES, PROBE
        else:
            self.stance, self._wait, self._left = Stances.ASIDE, wait, wait
