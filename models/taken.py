"""What one user has taken, and when: far longer remembered than a history, as habits last longer.

The cloud dataflow keeps one per user and every device keeps its own; both call the same code. Where people come once a
month, a window of 90 days has forgotten most of what they will buy again, and 30 positives are two baskets.
"""

from array import array

from models.history import KEY_BYTES

MOST = 1024  # positives, in 12 kB; at three a day they last a year; ours
MOST_TIMES = 255  # what a byte holds; who took something as often will take it again


class Taken:
    """The newest `MOST` positives in arrival order.

    Keys lie in one `bytearray`, so that the usual answer, never, is one search for four bytes.
    """

    __slots__ = ("_added", "_items", "_timestamps")

    def __init__(self) -> None:
        self._items = bytearray()
        self._timestamps = array("q")
        self._added = 0

    def before(self, item: int, timestamp: int) -> tuple[int, int]:
        """How many positives of the item are from strictly before `timestamp`, `MOST_TIMES` standing for more, and how
        long ago the newest of them was in seconds (0 where there is none): rows of one basket never see each other.

        >>> taken = Taken()
        >>> taken.add(7, 1000)
        >>> taken.before(7, 1000), taken.before(7, 6999), taken.before(8, 6999)
        ((0, 0), (1, 5), (0, 0))
        """
        earlier = [at for at in self._moments_of(item) if at < timestamp]
        return (min(len(earlier), MOST_TIMES), (timestamp - max(earlier)) // 1000) if earlier else (0, 0)

    def add(self, item: int, timestamp: int) -> None:
        """Remember one positive; of too many the oldest to arrive is forgotten."""
        key, place = item.to_bytes(KEY_BYTES, "little"), self._added % MOST
        self._items[KEY_BYTES * place : KEY_BYTES * (place + 1)] = key
        self._timestamps[place : place + 1] = array("q", [timestamp])
        self._added += 1

    @property
    def nbytes(self) -> int:
        """Bytes that the remembered positives occupy."""
        return len(self._items) + self._timestamps.itemsize * len(self._timestamps)

    def state(self) -> tuple[int, bytes, bytes]:
        """What was taken, at rest: how many were ever added, item keys and timestamps as they lie here."""
        return self._added, bytes(self._items), self._timestamps.tobytes()

    @classmethod
    def restore(cls, added: int, items: bytes, timestamps: bytes) -> "Taken":
        """What was at rest as `state` gave it."""
        taken = cls()
        taken._added, taken._items = added, bytearray(items)
        taken._timestamps.frombytes(timestamps)
        return taken

    def _moments_of(self, item: int) -> list[int]:
        key, moments = item.to_bytes(KEY_BYTES, "little"), []
        at = self._items.find(key)
        while at >= 0:
            if at % KEY_BYTES == 0:  # or else the end of one key and the start of the next
                moments.append(self._timestamps[at // KEY_BYTES])
            at = self._items.find(key, at + 1)
        return moments
