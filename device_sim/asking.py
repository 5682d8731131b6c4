"""When a device asks the cloud for a batch: with a reason, once in a while, ever more seldom while unanswered."""

FIRST_WAIT_MS = 5_000  # the retained batch comes at once, and the cloud may still be switching models
LONGEST_WAIT_MS = 80_000  # four doublings


class Asking:
    """`reason` is why the device wants a batch, or empty; `next_ms` is when it may ask (again)."""

    __slots__ = ("_wait_ms", "next_ms", "reason")

    def __init__(self) -> None:
        self.reason = ""
        self.next_ms = 0
        self._wait_ms = FIRST_WAIT_MS

    def want(self, reason: str) -> None:
        """There is a reason to ask; an earlier one stands."""
        self.reason = self.reason or reason

    def instead(self, reason: str) -> None:
        """Ask so, and no more for what there was to ask for before; nothing is asked where that is empty."""
        self.reason, self._wait_ms = reason, FIRST_WAIT_MS

    def hold(self, now_ms: int) -> None:
        """Wait before asking (again): an answer may be on its way."""
        self.next_ms = now_ms + self._wait_ms

    def take(self, now_ms: int) -> str:
        """The reason to ask now, or nothing; doubles the wait until the next one.

        >>> asking = Asking()
        >>> asking.want("connected")
        >>> asking.take(0), asking.take(9_999), asking.take(10_000)
        ('connected', '', 'connected')
        """
        if not self.reason or now_ms < self.next_ms:
            return ""
        self._wait_ms = min(2 * self._wait_ms, LONGEST_WAIT_MS)
        self.hold(now_ms)
        return self.reason

    def answered(self, now_ms: int) -> None:
        """A batch arrived that can be used: should that be outdated at once, the waits while nobody answered are over.

        >>> asking = Asking()
        >>> asking.want("connected")
        >>> for now_ms in (0, 10_000, 30_000):
        ...     _ = asking.take(now_ms)
        >>> asking.answered(31_000)
        >>> asking.want("expired")
        >>> asking.take(35_999), asking.take(36_000)
        ('', 'expired')
        """
        self.reason = ""
        self._wait_ms = FIRST_WAIT_MS
        self.hold(now_ms)
