"""The outbox: own events that the cloud has not confirmed yet, oldest first."""

from collections.abc import Iterable

RETRY_MS = 10_000  # without a receipt for so long, what was sent may be lost
PROBE_MS = 1_000  # without a receipt for so long the first event is sent again; then after twice that, up to `RETRY_MS`
MOST_BYTES = 1 << 20  # some 5,000 events: at 50 a day, three months without a link


class Outbox:
    """Events by id; delivery is at least once, the cloud drops repeats by `event_id`.

    A broker takes events although no tunnel listens to it, as one that starts anew does, or whose tunnel died: later
    events would come to the cloud before those. So nothing goes while anything sent has no receipt. And a way up is
    trusted only once a receipt came: until then the oldest event goes alone, and again after a pause that doubles.
    """

    __slots__ = ("_events", "_pause_ms", "_sent_ms", "_trusted", "_unsent", "nbytes")

    def __init__(self) -> None:
        self.nbytes = 0
        self._events: dict[str, bytes] = {}
        self._sent_ms: dict[str, int] = {}
        self._unsent: dict[str, None] = {}  # in order
        self._trusted, self._pause_ms = False, PROBE_MS

    def __len__(self) -> int:
        return len(self._events)

    def add(self, event_id: str, raw: bytes) -> int:
        """Keep an event until its receipt; how many of the oldest were given up because there was no room for them."""
        self.nbytes += len(raw) - len(self._events.get(event_id, b""))
        self._events[event_id] = raw
        if event_id not in self._sent_ms:
            self._unsent[event_id] = None
        given_up = 0
        while self.nbytes > MOST_BYTES and len(self._events) > 1:
            self._drop(next(iter(self._events)))
            given_up += 1
        return given_up

    def due(self, now_ms: int) -> list[bytes]:
        """Events to send now, in order; they count as sent.

        Those never sent, but none while one that was sent has no receipt: it may be lost.

        >>> outbox = Outbox()
        >>> outbox.add("a", b"first") + outbox.add("b", b"second")
        0
        >>> outbox.due(0), outbox.due(1), outbox.due(PROBE_MS)
        ([b'first'], [], [b'first'])
        >>> outbox.confirm(["a"]), outbox.due(PROBE_MS)
        (1, [b'second'])
        """
        oldest = next(iter(self._events), "")
        waits_ms = abs(now_ms - self._sent_ms.get(oldest, now_ms))  # longer than it did, if the clock was set back
        if self._trusted and waits_ms >= RETRY_MS:
            self.link_lost()
        if not self._trusted:
            return self._probe(oldest, now_ms)
        if self._sent_ms:
            return []
        ids, self._unsent = self._unsent, {}
        self._sent_ms.update(dict.fromkeys(ids, now_ms))
        return [self._events[i] for i in ids]

    def _probe(self, oldest: str, now_ms: int) -> list[bytes]:
        if oldest in self._sent_ms:
            if abs(now_ms - self._sent_ms[oldest]) < self._pause_ms:
                return []
            self._pause_ms = min(2 * self._pause_ms, RETRY_MS)
        elif not oldest:
            return []
        self._unsent.pop(oldest, None)
        self._sent_ms[oldest] = now_ms
        return [self._events[oldest]]

    def link_lost(self) -> None:
        """What was sent may never have arrived: everything here is due again, the oldest event first and alone."""
        self._sent_ms.clear()
        self._unsent = dict.fromkeys(self._events)
        self._trusted, self._pause_ms = False, PROBE_MS

    def unheard(self) -> None:
        """The broker says that it took an event which nobody listens to; while that is tried, it is no news."""
        if self._trusted:
            self.link_lost()

    def confirm(self, event_ids: Iterable[str]) -> int:
        """Drop the events that the cloud has; returns how many of them were still here.

        A receipt names an event twice when it was sent twice, so a name that is gone is no surprise.
        """
        held = [i for i in dict.fromkeys(event_ids) if i in self._events]
        self._trusted = self._trusted or any(i in self._sent_ms for i in held)
        for event_id in held:
            self._drop(event_id)
        return len(held)

    def _drop(self, event_id: str) -> None:
        self.nbytes -= len(self._events.pop(event_id))
        self._sent_ms.pop(event_id, None)
        self._unsent.pop(event_id, None)

    def state(self) -> dict[str, bytes]:
        """The events at rest, oldest first."""
        return dict(self._events)

    @classmethod
    def restore(cls, state: dict[str, bytes]) -> "Outbox":
        """The outbox that was at rest in `state`; all of it is due."""
        outbox = cls()
        for event_id, raw in state.items():
            outbox.add(event_id, raw)
        return outbox
