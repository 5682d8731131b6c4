"""What an observer outside makes of events that came twice."""

import pytest

from streams.bus import Message
from streams.kafka.topics import DEAD_LETTERS, EVENTS
from streams.simulation.seen import Seen
from wire.event import Event, encode_event


@pytest.mark.parametrize(("copies", "rare"), [(1, {"i"}), (2, set())])
def test_who_took_an_item_is_known_of_an_event_of_which_one_copy_was_refused(copies: int, rare: set[str]) -> None:
    ann, bob = (encode_event(Event(user, user, "i", "c", "view", 1, 1_700_000_000_000)) for user in ("ann", "bob"))
    seen = Seen()
    for offset, raw in enumerate([bob, *[ann] * copies]):
        seen.take(Message(EVENTS, 0, offset, b"", raw, 0, {}))
    seen.take(
        Message(DEAD_LETTERS, 0, 0, b"", ann, 0, {"reason": b"late", "partition": b"0", "offset": b"%d" % copies})
    )
    assert seen.rare(min_users=2) == rare
