"""Canaries in the dataflow: what they ask for is searched like a user's, and touches no state on its way there."""

from collections.abc import Iterable

from operators.decode import Arrival, Asked
from operators.user import Query, UserOutput
from wire.canary import is_canary
from wire.ids import user_key
from wire.moments import EventMs

REASON = "canary"
Keyed = tuple[str, Arrival | Asked]


def people(keyed: Iterable[Keyed]) -> list[Keyed]:
    """What is a user's; who says that something happened is a user, whatever the name."""
    return [(key, each) for key, each in keyed if not isinstance(each, Asked) or not is_canary(key)]


def canaries(keyed: Iterable[Keyed]) -> list[tuple[str, UserOutput]]:
    """A query for each canary, numbered one higher than it says: so its device knows which one came back.

    No sample is older than what it asks for, so that it finds none.
    """
    asked = [each for key, each in keyed if isinstance(each, Asked) and is_canary(key)]
    queries = [
        Query(
            user_id=each.user_id,
            user=user_key(each.user_id),
            seq=each.newest_seq + 1,
            before_ms=EventMs(0),
            produced_ms=each.produced_ms,
            reason=REASON,
            history_item=b"",
            history_category=b"",
        )
        for each in asked
    ]
    return [(queries[0].user_id, UserOutput([], queries, [], 0))] if queries else []
