"""When devices that lost their connection come back: at the cloud's pace or by backing off (sans-I/O)."""

from random import Random

from device_sim.backoff import Backoff
from device_sim.outcome import Paces
from wire.malformed import Malformed
from wire.pace import MOST_S, Pace, decode_pace

_NO_PACE = Pace(0, 0, 0)


class Comeback:
    """Pauses of all devices of a link, drawn from `random`."""

    def __init__(self, random: Random) -> None:
        self._random, self._backoff = random, Backoff(random)
        self._pace, self._until_s = _NO_PACE, float("-inf")

    def hear(self, raw: bytes, now_s: float) -> Paces:
        """The cloud's word came, an empty one to take the last one back; what becomes of it."""
        if not raw:
            self._until_s = float("-inf")
            return Paces.TAKEN_BACK
        try:
            self._pace = decode_pace(raw)
        except Malformed:
            return Paces.MALFORMED
        self._until_s = now_s + self._pace.lasts_s
        return Paces.OBEYED

    def pause_s(self, failures: int, now_s: float) -> float:
        """How long a device waits after so many failed attempts in a row; 0 when it has just lost its connection.

        While a pace holds, its wait comes before the first attempt, and every pause is spread as far as the pace says.
        """
        pace = self._pace if now_s < self._until_s else _NO_PACE
        spread_s = max(pace.spread_s, self._backoff.ceiling_s(failures))
        wait_s = 0.0 if failures else pace.wait_s
        return min(MOST_S, wait_s + self._random.uniform(0.0, spread_s))
