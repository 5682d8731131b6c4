"""The outbox: own events that the cloud has not confirmed yet, oldest first."""

from collections.abc import Iterable

RETRY_MS = 10_000  # without a receipt for so long, everything is sent again
RECEIPT_MS = 2_000  # a receipt comes sooner, or what it is for may be lost: what came later waits, not to overtake it
MOST_BYTES = 1 << 20  # some 5,000 events: at 50 a day, three months without a link


class Outbox:
    """Events by id; delivery is at least once, the cloud drops repeats by `event_id`."""

    __slots__ = ("_events", "_sent_ms", "_unsent", "nbytes")

    def __init__(self) -> None:
        self.nbytes = 0
        self._events: dict[str, bytes] = {}
        self._sent_ms: dict[str, int] = {}
        self._unsent: dict[str, None] = {}  # in order

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
            given_up += self.confirm([next(iter(self._events))])
        return given_up

    def due(self, now_ms: int) -> list[bytes]:
        """Events to send now, in order; they count as sent.

        Those never sent, but none while the oldest has no receipt though it should; all of them after `RETRY_MS`. A
        broker that starts anew may take events before a tunnel listens to it: later ones would come before these.

        >>> outbox = Outbox()
        >>> outbox.add("a", b"...")
        0
        >>> outbox.due(0), outbox.due(1), outbox.due(RETRY_MS)
        ([b'...'], [], [b'...'])
        """
        oldest = next(iter(self._events), "")
        waits_ms = now_ms - self._sent_ms.get(oldest, now_ms)
        if abs(waits_ms) >= RETRY_MS:  # or the clock was set back
            self.link_lost()
        elif waits_ms >= RECEIPT_MS:
            return []
        ids, self._unsent = self._unsent, {}
        self._sent_ms.update(dict.fromkeys(ids, now_ms))
        return [self._events[i] for i in ids]

    def link_lost(self) -> None:
        """What was sent may never have arrived: everything here is due again."""
        self._sent_ms.clear()
        self._unsent = dict.fromkeys(self._events)

    def confirm(self, event_ids: Iterable[str]) -> int:
        """Drop the events that the cloud has; returns how many of them were still here.

        A receipt names an event twice when it was sent twice, so a name that is gone is no surprise.
        """
        held = [i for i in dict.fromkeys(event_ids) if i in self._events]
        for event_id in held:
            self.nbytes -= len(self._events.pop(event_id))
            self._sent_ms.pop(event_id, None)
            self._unsent.pop(event_id, None)
        return len(held)

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
