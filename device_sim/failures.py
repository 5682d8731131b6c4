"""Failed connections of many clients as few lines: one at once, then one as long as they go on (sans-I/O)."""

from collections import Counter

from device_sim.mqtt_failure import Failure

SAY_EVERY_S = 30.0


class Failures:
    """What failed since it was last said.

    >>> failures = Failures()
    >>> failures.add(Failure("busy", "it is busy")); failures.add(Failure("busy", "it is busy"))
    >>> failures.line(0.0)
    '2 × it is busy'
    >>> failures.add(Failure("busy", "it is busy")); failures.line(1.0)
    ''
    >>> failures.line(30.0), failures.line(31.0)
    ('1 × it is busy', '')
    """

    def __init__(self) -> None:
        self._unsaid: Counter[Failure] = Counter()
        self._said_s = float("-inf")

    def add(self, failure: Failure) -> None:
        """Count one."""
        self._unsaid[failure] += 1

    def line(self, now_s: float) -> str:
        """What to say now, the most frequent first; "" for nothing."""
        if not self._unsaid or now_s < self._said_s + SAY_EVERY_S:
            return ""
        self._said_s = now_s
        unsaid, self._unsaid = self._unsaid, Counter()
        return "; ".join(f"{number} × {failure.text}" for failure, number in unsaid.most_common(3))
