"""What is known of one user, and the features it gives an event: the one place where features are made.

Dataflow, device and the reader of a log's initial part each keep a `Known` per user, so the same events in the same
order of arrival have the same features everywhere. What comes late or out of order is known from then on, as of when it
happened. None of that depends on how late an event may be and still become a sample, nor on how long who asks remembers
which events came: one that comes again behind newer ones changes nothing.
"""

from typing import NamedTuple, Self

from models.history import History
from models.interaction_log import InteractionLog
from wire.moments import NO_EVENT, EventMs


class Features(NamedTuple):
    """What was known strictly before an event: rows of one basket never see each other.

    `times` and `since_s` as `InteractionLog.before` gives them, histories as `History.bytes_before` does.
    """

    times: int
    since_s: int
    history_item: bytes
    history_category: bytes


class Known:
    """One user's positives so far, and the `newest` time of an event of any kind.

    >>> known = Known()
    >>> known.take(item=7, category=1, label=1, timestamp=EventMs(1000))
    Features(times=0, since_s=0, history_item=b'', history_category=b'')
    >>> known.take(item=7, category=1, label=0, timestamp=EventMs(6000))[:3]
    (1, 5, b'\\x07\\x00\\x00\\x00')
    """

    __slots__ = ("history", "interactions", "newest")

    def __init__(self) -> None:
        self.history, self.interactions, self.newest = History(), InteractionLog(), NO_EVENT

    def take(self, item: int, category: int, label: int, timestamp: EventMs) -> Features:
        """The features of an event that came now and happened at `timestamp`; from then on it is known itself."""
        times, since_s = self.interactions.before(item, timestamp)
        history_item, history_category = self.history.bytes_before(timestamp)
        if label:
            self.add(item, category, timestamp)
        self.newest = max(self.newest, timestamp)
        return Features(times, since_s, history_item, history_category)

    def add(self, item: int, category: int, timestamp: EventMs) -> None:
        """Know a positive, unless it is out of order and known already."""
        behind = timestamp < self.newest
        if not (behind and self.interactions.holds(item, timestamp)):
            self.interactions.add(item, timestamp)
        if not (behind and self.history.holds(item, timestamp)):
            self.history.add(timestamp, item, category)

    @classmethod
    def restore(cls, history: History, interactions: InteractionLog, newest: EventMs) -> Self:
        """What was known when these were at rest."""
        known = cls()
        known.history, known.interactions, known.newest = history, interactions, newest
        return known
