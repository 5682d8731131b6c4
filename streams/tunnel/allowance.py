"""How much one device may send up: a bucket of bytes each, filled at a steady rate (sans-I/O).

A message costs its payload and `MESSAGE_BYTES`, so that one bucket limits bytes and messages alike.
"""

from collections import OrderedDict
from typing import NamedTuple

from wire.errors import InputError
from wire.event import UPLOAD_BYTES
from wire.moments import SteadyMs

MESSAGE_BYTES = 512  # what an empty message costs: about what its headers, its report on Kafka and its handling weigh
MOST_DEVICES = 100_000  # whose buckets are kept, 300 B each; whose was used longest ago begins with a full one again
_KIB = 1024


class Rate(NamedTuple):
    """What a device may send.

    At once: an outbox that is full, 1 MB in 5,000 events of 200 B, costs 5,000 · (200 + 512) B = 3.4 MiB. Then
    64 KiB/s, which are 92 such events a second: nobody who lives through that many is a person.
    """

    kib_per_s: float = 64
    burst_kib: float = 4096

    def checked(self) -> "Rate":
        """The rate itself; raises `InputError` where it lets nothing pass."""
        least_kib = (UPLOAD_BYTES + MESSAGE_BYTES) / _KIB
        if not self.kib_per_s > 0 or self.burst_kib < least_kib:
            raise InputError(
                f"--device-kib-per-s must be more than 0, and --device-burst-kib at least {least_kib:g}: "
                "less never lets the largest upload pass"
            )
        return self


DEFAULT = Rate()


class Allowances:
    """The buckets of all devices.

    >>> buckets = Allowances(Rate(kib_per_s=1, burst_kib=2))
    >>> [buckets.take("ann", 500, SteadyMs(0)) for _ in range(3)]
    [True, True, False]
    >>> buckets.take("bob", 500, SteadyMs(0)), buckets.take("ann", 500, SteadyMs(1000))
    (True, True)
    """

    def __init__(self, rate: Rate) -> None:
        self._per_ms, self._burst = rate.kib_per_s * _KIB / 1000, rate.burst_kib * _KIB
        self._buckets: OrderedDict[str, tuple[float, SteadyMs]] = OrderedDict()  # what was left, and when

    def take(self, device: str, nbytes: int, now_ms: SteadyMs) -> bool:
        """Whether `device` may send a payload of `nbytes` now; what it may not costs nothing."""
        left, since_ms = self._buckets.pop(device, (self._burst, now_ms))
        left = min(self._burst, left + (now_ms - since_ms) * self._per_ms)
        cost = nbytes + MESSAGE_BYTES
        self._buckets[device] = (left - cost if cost <= left else left), now_ms
        if len(self._buckets) > MOST_DEVICES:
            self._buckets.popitem(last=False)
        return cost <= left
