"""Person: what one user did before, strictly before each event."""

from typing import NamedTuple, Self

from models.features import Known
from models.history import History
from models.interaction_log import InteractionLog
from models.streamed.rest import Rest
from wire.moments import EventMs

PAUSE_MS = 30 * 60_000  # who does nothing for so long begins a new session: the usual half hour
_CATEGORIES = 64  # that a person's counts remember, those met longest ago go first
_NEVER_MET = (0, 0)


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

    __slots__ = ("_by_category", "_gap_s", "_in_session", "_known", "_met", "_newest_ms", "_taken", "_waiting")

    def __init__(self) -> None:
        self._known = Known()
        self._by_category: dict[int, tuple[int, int]] = {}  # positives and impressions
        self._taken = self._met = self._in_session = self._newest_ms = 0
        self._gap_s = -1
        self._waiting: list[tuple[int, int]] = []  # category and label of the events at `_newest_ms`

    def take(self, item: int, category: int, label: int, timestamp_ms: int) -> Past:
        """What was known of the user; from later moments on the event is, too."""
        if timestamp_ms > self._newest_ms:
            self._begin(timestamp_ms)
        of_category, met_category = self._by_category.get(category, _NEVER_MET)
        times, since_s, items, categories = self._known.take(item, category, label, EventMs(timestamp_ms))
        self._waiting.append((category, label))
        taken, met, gap_s = self._taken, self._met, self._gap_s
        return Past(times, since_s, of_category, met_category, taken, met, gap_s, self._in_session, items, categories)

    def state(self) -> Rest:
        """The user at rest."""
        known = self._known
        return (
            known.history.state(),
            known.interactions.state(),
            known.newest,
            [(category, *counts) for category, counts in self._by_category.items()],
            (self._taken, self._met, self._in_session, self._newest_ms, self._gap_s),
            self._waiting,
        )

    @classmethod
    def restore(cls, state: Rest) -> Self:
        """Who was at rest in `state`."""
        person = cls()
        history, interactions, newest, by_category, numbers, waiting = state
        person._known = Known.restore(History.restore(*history), InteractionLog.restore(*interactions), newest)
        person._by_category = {category: (taken, met) for category, taken, met in by_category}
        person._taken, person._met, person._in_session, person._newest_ms, person._gap_s = numbers
        person._waiting = [(category, label) for category, label in waiting]
        return person

    def _begin(self, timestamp_ms: int) -> None:
        """Another moment: the events of the one before count from now on."""
        for category, label in self._waiting:
            taken, met = self._by_category.pop(category, _NEVER_MET)
            self._by_category[category] = taken + label, met + 1  # the newest last
            self._taken += label
        self._met += len(self._waiting)
        self._in_session += len(self._waiting)
        self._waiting.clear()
        gap_ms = timestamp_ms - self._newest_ms if self._met else -1
        self._gap_s = gap_ms // 1000
        if gap_ms > PAUSE_MS:
            self._in_session = 0
        self._newest_ms = timestamp_ms
        while len(self._by_category) > _CATEGORIES:
            del self._by_category[next(iter(self._by_category))]
