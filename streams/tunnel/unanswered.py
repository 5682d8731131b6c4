"""Batches that the MQTT broker has and no device has answered: one that comes back empty gets them again (sans-I/O).

At most so many bytes of them, the newest. A device whose batch is no longer among them asks for one when it connects
again, so what is forgotten here costs one match.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

from monitor.metrics import Metrics
from monitor.seldom import Seldom

MOST_BYTES = 64 << 20  # 3,300 batches of 20 kB; what no device answers would stay for its 10 minutes otherwise
P = TypeVar("P")


class Unanswered(Generic[P]):
    """One push per device, oldest first, with its size in bytes.

    >>> unanswered = Unanswered(Metrics(), most_bytes=100)
    >>> unanswered.put("ann", "a push", 60)
    >>> unanswered.put("ann", "a newer one", 70)
    >>> unanswered.pop("ann"), unanswered.pop("ann"), unanswered.nbytes
    ('a newer one', None, 0)
    """

    def __init__(self, metrics: Metrics, most_bytes: int = MOST_BYTES) -> None:
        self.nbytes = 0
        self._metrics, self._most_bytes = metrics, most_bytes
        self._pushes: OrderedDict[str, tuple[P, int]] = OrderedDict()
        self._say = Seldom()

    def __len__(self) -> int:
        return len(self._pushes)

    def __iter__(self) -> Iterator[P]:
        return (push for push, _ in self._pushes.values())

    def put(self, device: str, push: P, nbytes: int) -> None:
        """Keep the device's newest push, and forget the oldest ones where there is no room."""
        self.pop(device)
        self._pushes[device] = push, nbytes
        self.nbytes += nbytes
        while self.nbytes > self._most_bytes:
            self.pop(next(iter(self._pushes)))
            self._metrics.payloads_forgotten.inc()
            self._say.warning("more unanswered batches than memory for them: a broker that restarts gets the newest")

    def pop(self, device: str) -> P | None:
        """Forget the device's push; which one, if it was here."""
        push, nbytes = self._pushes.pop(device, (None, 0))
        self.nbytes -= nbytes
        return push
