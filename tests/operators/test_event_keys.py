from itertools import count

import pytest

from operators.event_keys import MOST_SEEN, EventKeys
from wire.moments import EventMs


def test_what_would_be_late_is_forgotten_and_the_rest_kept_in_order() -> None:
    keys = EventKeys({n: EventMs(1_000 - n) for n in range(10)})
    keys.prune(EventMs(995))
    assert [*keys] == [0, 1, 2, 3, 4, 5] and keys.prune_at == 64


@pytest.mark.parametrize("apart_ms", [0, 1])
def test_of_any_number_the_newest_are_there_within_the_bound(apart_ms: int) -> None:
    keys, prunes = EventKeys(), 0
    for n in range(3 * MOST_SEEN):
        keys[n] = EventMs(n * apart_ms)
        if len(keys) >= keys.prune_at:
            keys.prune(EventMs((n - 100) * apart_ms))
            prunes += 1
        assert len(keys) <= MOST_SEEN
    newest = MOST_SEEN // 2 if apart_ms == 0 else 100
    assert all(n in keys for _, n in zip(range(newest), count(3 * MOST_SEEN - 1, -1), strict=False))
    assert prunes < 1 + 3 * MOST_SEEN / (32 if apart_ms else 64), "each looks at twice as many as it keeps, at most"
