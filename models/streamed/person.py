"""Person: what one user did before, strictly before each event."""

from typing import NamedTuple

from models.features import Known
from wire.moments import EventMs

PAUSE_MS = 30 * 60_000  # who does nothing for so long begins a new session: the usual half hour
_CATEGORIES = 64  # that a person's counts remember, those met longest ago go first


class Past(NamedTuple):
    """Before one moment: positives of the item and how long ago the newest was, of the category positives and
    impressions, of everything likewise, how long ago the event before was (-1: none), how many events the session has
    had, item and category keys of the newest positives.
    """

    times: int
    since_s: int
    of_category: int
    met_category: int
    of_all: int
    met_all: int
    gap_s: int
    in_session: int
    history_item: bytes
    history_category: bytes


class Person:
    """One user. Rows of one moment never see each other."""

    __slots__ = ("_all", "_by_category", "_gap_ms", "_in_session", "_known", "_newest_ms", "_waiting")

    def __init__(self) -> None:
        self._known = Known()
        self._by_category: dict[int, list[int]] = {}
        self._all = [0, 0]
        self._newest_ms, self._gap_ms, self._in_session = 0, -1, 0
        self._waiting: list[tuple[int, int]] = []  # category and label of the events at `_newest_ms`

    def take(self, item: int, category: int, label: int, timestamp_ms: int) -> Past:
        """What was known of the user; from later moments on the event is, too."""
        if timestamp_ms > self._newest_ms:
            self._begin(timestamp_ms)
        of_category, met_category = self._by_category.get(category, (0, 0))
        features = self._known.take(item, category, label, EventMs(timestamp_ms))
        self._waiting.append((category, label))
        taken, met = self._all
        return Past(
            times=features.times,
            since_s=features.since_s,
            of_category=of_category,
            met_category=met_category,
            of_all=taken,
            met_all=met,
            gap_s=self._gap_ms // 1000,
            in_session=self._in_session,
            history_item=features.history_item,
            history_category=features.history_category,
        )

    def _begin(self, timestamp_ms: int) -> None:
        """Another moment: the events of the one before count from now on."""
        for category, label in self._waiting:
            taken, met = self._by_category.pop(category, (0, 0))
            self._by_category[category] = [taken + label, met + 1]
            self._all = [self._all[0] + label, self._all[1] + 1]
            self._in_session += 1
        self._waiting = []
        self._gap_ms = timestamp_ms - self._newest_ms if self._all[1] else -1
        if self._gap_ms > PAUSE_MS:
            self._in_session = 0
        self._newest_ms = timestamp_ms
        while len(self._by_category) > _CATEGORIES:
            del self._by_category[next(iter(self._by_category))]
