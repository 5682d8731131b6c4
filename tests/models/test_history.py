"""The history against a plain list."""

from hypothesis import given
from hypothesis import strategies as st

from models.history import History
from wire.sample import HISTORY_LEN

positives = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9), st.integers(1, 3)), max_size=History.KEEP)


@given(positives, st.integers(0, 51))
def test_features_are_the_newest_strictly_earlier_positives(events: list[tuple[int, int, int]], now: int) -> None:
    history = History()
    for timestamp, item, category in events:
        history.add(timestamp, item, category)
    items, categories = history.before(now)
    earlier = sorted((e for e in events if e[0] < now), key=lambda e: e[0])[-HISTORY_LEN:][::-1]
    assert sorted(zip(items, categories, strict=True)) == sorted(e[1:] for e in earlier) or len(events) > HISTORY_LEN
    assert len(items) == len(earlier)


@given(positives, positives, st.integers(0, 51))
def test_a_rest_changes_nothing(first: list[tuple[int, int, int]], then: list[tuple[int, int, int]], now: int) -> None:
    history, rested = History(), History()
    for one in first:
        history.add(*one)
        rested.add(*one)
    rested = History.restore(*rested.state())
    for one in then:
        history.add(*one)
        rested.add(*one)
    assert rested.bytes_before(now) == history.bytes_before(now) and rested.state() == history.state()


def test_rows_of_one_basket_never_see_each_other() -> None:
    history = History()
    for item in (1, 2, 3):
        history.add(100, item, 1)
    assert len(history.before(100)[0]) == 0
    assert sorted(history.before(101)[0]) == [1, 2, 3]


def test_the_oldest_leave_first() -> None:
    history = History()
    for timestamp in range(2 * History.KEEP):
        history.add(timestamp, timestamp + 1, 1)
    assert len(history) == History.KEEP
    assert next(iter(history.before(2 * History.KEEP)[0])) == 2 * History.KEEP
