"""What one user has taken, and when: far longer remembered than a history, as habits last longer.

Where people come once a month, a window of 90 days has forgotten most of what they will buy again, and 30 positives
are two baskets.
"""

from models.history import KEY_BYTES

MOST = 1024  # positives, in 12 kB; at three a day they last a year
MOST_TIMES = 255  # what a byte holds; who took something as often will take it again
_TIME_BYTES = 8  # a timestamp is a little-endian int64


class InteractionLog:
    """The newest `MOST` positives in arrival order.

    Keys lie in one `bytearray`, so that the usual answer, never, is one search for four bytes, and timestamps in
    another, so that the dataflow, which saves all users that had events with every epoch, copies bytes.
    """

    __slots__ = ("_added", "_items", "_timestamps")

    def __init__(self) -> None:
        self._items, self._timestamps = bytearray(), bytearray()
        self._added = 0

    def before(self, item: int, timestamp: int) -> tuple[int, int]:
        """How many positives of the item are from strictly before `timestamp`, `MOST_TIMES` standing for more, and how
        long ago the newest of them was in seconds (0 where there is none): rows of one basket never see each other.

        >>> interactions = InteractionLog()
        >>> interactions.add(7, 1000)
        >>> interactions.before(7, 1000), interactions.before(7, 6999), interactions.before(8, 6999)
        ((0, 0), (1, 5), (0, 0))
        """
        key = item.to_bytes(KEY_BYTES, "little")
        if key not in self._items:
            return 0, 0
        earlier = [at for at in self._moments_of(key) if at < timestamp]
        return (min(len(earlier), MOST_TIMES), (timestamp - max(earlier)) // 1000) if earlier else (0, 0)

    def add(self, item: int, timestamp: int) -> None:
        """Remember one positive; of too many the oldest to arrive is forgotten."""
        key, at = item.to_bytes(KEY_BYTES, "little"), timestamp.to_bytes(_TIME_BYTES, "little", signed=True)
        if self._added < MOST:
            self._items += key
            self._timestamps += at
        else:
            place = self._added % MOST
            self._items[KEY_BYTES * place : KEY_BYTES * (place + 1)] = key
            self._timestamps[_TIME_BYTES * place : _TIME_BYTES * (place + 1)] = at
        self._added += 1

    def holds(self, item: int, timestamp: int) -> bool:
        """Whether a positive of the item at that time is among those remembered."""
        return timestamp in self._moments_of(item.to_bytes(KEY_BYTES, "little"))

    @property
    def nbytes(self) -> int:
        """Bytes that the remembered positives occupy."""
        return len(self._items) + len(self._timestamps)

    def state(self) -> tuple[int, bytes, bytes]:
        """What was taken, at rest: how many were ever added, item keys and timestamps as they lie here."""
        return self._added, bytes(self._items), bytes(self._timestamps)

    @classmethod
    def restore(cls, added: int, items: bytes, timestamps: bytes) -> "InteractionLog":
        """What was at rest as `state` gave it."""
        taken = cls()
        taken._added, taken._items, taken._timestamps = added, bytearray(items), bytearray(timestamps)
        return taken

    def _moments_of(self, key: bytes) -> list[int]:
        moments = []
        at = self._items.find(key)
        while at >= 0:
            place, beside = divmod(at, KEY_BYTES)
            if not beside:  # or else the end of one key and the start of the next
                when = self._timestamps[_TIME_BYTES * place : _TIME_BYTES * (place + 1)]
                moments.append(int.from_bytes(when, "little", signed=True))
            at = self._items.find(key, at + 1)
        return moments
