"""The outbox: own events that the cloud has not confirmed yet, oldest first."""

import math
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

    __slots__ = ("_pause_ms", "_sent", "_sent_ms", "_trusted", "_unsent", "nbytes")

    def __init__(self) -> None:
        self.nbytes = 0
        self._sent: dict[str, bytes] = {}  # at `_sent_ms`, and older than `_unsent`
        self._unsent: dict[str, bytes] = {}
        self._sent_ms = 0
        self._trusted, self._pause_ms = False, PROBE_MS

    def __len__(self) -> int:
        return len(self._sent) + len(self._unsent)

    def add(self, event_id: str, raw: bytes) -> int:
        """Keep an event until its receipt; how many of the oldest were given up because there was no room for them."""
        events = self._sent if event_id in self._sent else self._unsent
        self.nbytes += len(raw) - len(events.get(event_id, b""))
        events[event_id] = raw
        given_up = 0
        while self.nbytes > MOST_BYTES and len(self) > 1:
            self._drop(next(iter(self._sent or self._unsent)))
            given_up += 1
        return given_up

    @property
    def wakes_ms(self) -> float:
        """When something is due next: 0 for at once, infinite with nothing to send."""
        if self._sent:
            return self._sent_ms + self._pause_ms
        return 0 if self._unsent else math.inf

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
        if self._sent:
            if abs(now_ms - self._sent_ms) < self._pause_ms:  # longer than it was, if the clock was set back
                return []
            if self._trusted:
                self.link_lost()
            else:
                self._pause_ms = min(2 * self._pause_ms, RETRY_MS)
        if self._trusted:
            self._sent, self._unsent = self._unsent, {}
        elif self._unsent and not self._sent:
            oldest = next(iter(self._unsent))
            self._sent[oldest] = self._unsent.pop(oldest)
        self._sent_ms = now_ms
        return list(self._sent.values())

    def link_lost(self) -> None:
        """What was sent may never have arrived: everything here is due again, the oldest event first and alone."""
        self._sent, self._unsent = {}, self._sent | self._unsent
        self._trusted, self._pause_ms = False, PROBE_MS

    def unheard(self) -> None:
        """The broker says that it took an event which nobody listens to; while that is tried, it is no news."""
        if self._trusted:
            self.link_lost()

    def confirm(self, event_ids: Iterable[str]) -> int:
        """Drop the events that the cloud has; returns how many of them were still here.

        A receipt names an event twice when it was sent twice, so a name that is gone is no surprise.
        """
        held = [i for i in dict.fromkeys(event_ids) if i in self._sent or i in self._unsent]
        if any(i in self._sent for i in held):
            self._trusted, self._pause_ms = True, RETRY_MS
        for event_id in held:
            self._drop(event_id)
        return len(held)

    def _drop(self, event_id: str) -> None:
        self.nbytes -= len((self._sent if event_id in self._sent else self._unsent).pop(event_id))

    def state(self) -> dict[str, bytes]:
        """The events at rest, oldest first."""
        return self._sent | self._unsent

    @classmethod
    def restore(cls, state: dict[str, bytes]) -> "Outbox":
        """The outbox that was at rest in `state`; all of it is due."""
        outbox = cls()
        for event_id, raw in state.items():
            outbox.add(event_id, raw)
        return outbox
