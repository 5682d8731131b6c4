"""How long a client that lost its connection waits before it tries again: full jitter (sans-I/O).

A pause is drawn evenly from nothing to a ceiling that doubles with every failure in a row. Of thousands of clients that
are cut at one moment no two groups come back together, which half-and-half jitter does not achieve; see Brooker,
*Exponential Backoff and Jitter* (AWS, 2015).
"""

from random import Random

BASE_S = 0.5  # the first ceiling: on average a connection that was lost is tried again after half of it
CAP_S = 5.0  # the last one: a broker that comes back has everybody again so much later
_DOUBLINGS = 16  # of anything above a millisecond these make a minute: more would only overflow


class Backoff:
    """Pauses of a client, or of many that share `random`.

    >>> pauses = [Backoff(Random(1)).pause_s(failures) for failures in (0, 3, 10_000)]
    >>> [pause <= ceiling for pause, ceiling in zip(pauses, (0.5, 4.0, 10.0))]
    [True, True, True]
    """

    def __init__(self, random: Random, base_s: float = BASE_S, cap_s: float = CAP_S) -> None:
        self._random, self._base_s, self._cap_s = random, base_s, cap_s

    def ceiling_s(self, failures: int) -> float:
        """The longest pause after so many failed attempts in a row."""
        return min(self._cap_s, self._base_s * 2.0 ** min(failures, _DOUBLINGS))

    def pause_s(self, failures: int) -> float:
        """The next pause, after so many failed attempts in a row."""
        return self._random.uniform(0.0, self.ceiling_s(failures))
