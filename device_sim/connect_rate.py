"""A token bucket: how many connections all devices of a fleet together may begin a second (sans-I/O)."""


class ConnectRate:
    """At most `per_s` turns a second, and `burst` at once after a pause.

    >>> rate = ConnectRate(per_s=10.0, burst=2)
    >>> [round(rate.wait_s(now_s=100.0), 3) for _ in range(4)]
    [0.0, 0.0, 0.1, 0.2]
    """

    def __init__(self, per_s: float, burst: int) -> None:
        self._interval_s, self._ahead_s = 1.0 / per_s, (burst - 1) / per_s
        self._due_s = float("-inf")  # when all tokens but one are back

    def wait_s(self, now_s: float) -> float:
        """Take the next turn, which comes in so many seconds; turns come in the order in which they were taken."""
        turn_s = max(now_s, self._due_s - self._ahead_s)
        self._due_s = max(turn_s, self._due_s) + self._interval_s
        return turn_s - now_s
