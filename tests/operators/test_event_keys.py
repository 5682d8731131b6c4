from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.event_keys import MOST_SEEN, EventKeys
from wire.moments import EventMs

DAY_MS = 86_400_000


def keys_at(*times: int) -> EventKeys:
    keys = EventKeys()
    keys.update(enumerate(times))
    return keys


def test_what_would_be_late_is_forgotten_and_the_rest_kept_in_order() -> None:
    keys = keys_at(*range(1_000, 990, -1))
    keys.prune(EventMs(1_000), within_ms=5)
    assert [*keys] == [0, 1, 2, 3, 4, 5] and keys.prune_at == 64


@pytest.mark.parametrize("apart_ms", [0, 1])
def test_of_any_number_the_newest_are_there_within_the_bound(apart_ms: int) -> None:
    keys, prunes = EventKeys(), 0
    for n in range(3 * MOST_SEEN):
        keys[n] = n * apart_ms
        if len(keys) >= keys.prune_at:
            keys.prune(EventMs(n * apart_ms), within_ms=100 * apart_ms)
            prunes += 1
        assert len(keys) <= MOST_SEEN
    newest = MOST_SEEN // 2 if apart_ms == 0 else 100
    assert all(n in keys for _, n in zip(range(newest), count(3 * MOST_SEEN - 1, -1), strict=False))
    assert prunes < 1 + 3 * MOST_SEEN / (32 if apart_ms else 64), "each looks at twice as many as it keeps, at most"


STEPS = st.lists(st.sampled_from(["add", "add", "add", "rest", "look", "prune"]), max_size=60)


@given(STEPS, st.lists(st.integers(0, 40 * DAY_MS), min_size=60, max_size=60))
def test_a_rest_at_any_point_changes_nothing(steps: list[str], times: list[int]) -> None:
    rested, never, newest = EventKeys(), EventKeys(), 0
    for n, (step, since_ms) in enumerate(zip(steps, times, strict=False)):
        if step == "add":
            timestamp = 1_790_000_000_000 + since_ms
            rested[2**64 - 1 - n] = never[2**64 - 1 - n] = timestamp
            newest = max(newest, timestamp)
        elif step == "rest":
            rested = EventKeys.restore(*rested.state())
        elif step == "look":
            rested.state()
        else:
            for keys in (rested, never):
                keys.prune(EventMs(newest), within_ms=20 * DAY_MS)
            assert all(newest - timestamp <= 20 * DAY_MS for timestamp in never.values())
        assert [*rested] == [*never] and rested.prune_at == never.prune_at
    assert rested.state() == never.state()


def test_of_events_months_apart_none_is_forgotten_that_may_come_again() -> None:
    keys = EventKeys.restore(*keys_at(0, 100 * DAY_MS, 200 * DAY_MS - 5, 200 * DAY_MS).state())
    keys.prune(EventMs(200 * DAY_MS), within_ms=10)
    assert {2, 3} <= {*keys}


def test_at_rest_a_key_is_twelve_bytes() -> None:
    keys, times, _ = keys_at(*range(1_000)).state()
    assert len(keys) + len(times) == 12_000
