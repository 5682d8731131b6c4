"""Whose states a worker keeps: those of the users of the last so many days, at most so many, the newest; items' alike.

Bytewax keeps a key's state for ever unless its own logic lets go of it, and wakes logics by the wall clock, while users
are idle in event time. So who has to go is looked for with what comes for others. Those who come back begin anew.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Generic, NamedTuple, TypeVar

from prometheus_client import Counter

from monitor.metrics import Metrics
from monitor.seldom import Seldom
from wire.moments import NO_EVENT

DAY_MS = 86_400_000
T = TypeVar("T", str, int)  # what users are known by, and items


class Stay(NamedTuple):
    """How long users stay: until so much event time has passed without them, or `most` have been here since.

    A state takes .9 kB, and 100 B more for each event up to 60 and each positive up to 120 and 12 for each up to 1,024:
    3 kB after 20 events, 30 kB at most, and a fifth of it on disk. Of who is not at hand (`operators.shard_users`)
    .5 kB stays in memory.
    """

    most: int = 1_000_000
    idle_ms: int = 400 * DAY_MS


class Meter(NamedTuple):
    """Where a kind of residents is counted."""

    kept: Callable[[float], None]
    forgotten: Counter
    crowded: str

    @classmethod
    def of_users(cls, metrics: Metrics, kept: Callable[[float], None]) -> "Meter":
        """Where users are; `kept` hears how many one shard has."""
        return cls(kept, metrics.users_forgotten, "users: those idle longest are forgotten, see --users")

    @classmethod
    def of_items(cls, metrics: Metrics, kept: Callable[[float], None]) -> "Meter":
        """Where items are; `kept` hears how many one shard has."""
        return cls(kept, metrics.items_forgotten, "items: those seen longest ago are forgotten")


class Residents(Generic[T]):
    """The users of one shard, or its items, those who did something last coming last.

    >>> metrics = Metrics()
    >>> residents = Residents[str](Stay(idle_ms=100), Meter.of_users(metrics, metrics.users.set))
    >>> for user_id, now_ms in (("ann", 1), ("bob", 2), ("ann", 3), ("eve", 4)):
    ...     residents.active(user_id, now_ms)
    >>> residents.leaving(5), residents.leaving(102)
    ([], ['bob'])
    >>> "bob" in residents, "eve" in residents
    (False, True)
    """

    def __init__(self, stay: Stay, meter: Meter) -> None:
        self._stay, self._meter = stay, meter
        self._active_ms: OrderedDict[T, int] = OrderedDict()
        self._in_order = True
        self._timeless: dict[T, None] = {}
        self._say = Seldom()

    def __contains__(self, user_id: object) -> bool:
        return user_id in self._active_ms

    def __iter__(self) -> Iterator[T]:
        return iter(self._active_ms)

    def __len__(self) -> int:
        return len(self._active_ms)

    def active(self, user_id: T, now_ms: int) -> None:
        """The user did something when event time had come so far."""
        self._active_ms[user_id] = now_ms
        self._active_ms.move_to_end(user_id)
        if now_ms == NO_EVENT:
            self._timeless[user_id] = None

    def restored(self, user_id: T, active_ms: int) -> None:
        """The user was active then, before the dataflow began anew; they come in no order."""
        self._active_ms[user_id] = active_ms
        self._in_order = False

    def leaving(self, now_ms: int) -> list[T]:
        """Who has to go by now; they are no residents any more."""
        if now_ms != NO_EVENT and self._timeless:
            self._date(now_ms)
        if not self._in_order:
            self._active_ms = OrderedDict(sorted(self._active_ms.items(), key=itemgetter(1)))
            self._in_order = True
        gone: list[T] = []
        crowded = len(self._active_ms) - self._stay.most
        while self._active_ms:
            user_id, active_ms = next(iter(self._active_ms.items()))
            idle = active_ms <= now_ms - self._stay.idle_ms
            if not idle and len(gone) >= crowded:
                break
            del self._active_ms[user_id]
            gone.append(user_id)
            self._meter.forgotten.labels("idle" if idle else "crowded").inc()
        if crowded > 0:
            self._say.warning(f"more than {self._stay.most} {self._meter.crowded}")
        self._meter.kept(len(self._active_ms))
        return gone

    def _date(self, now_ms: int) -> None:
        """Who came before anybody had said what time it is, as after a restart, was active now, not in the year 0."""
        for user_id in filter(self.__contains__, self._timeless):
            self.active(user_id, now_ms)
        self._timeless.clear()
