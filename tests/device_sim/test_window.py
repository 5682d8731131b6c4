from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from device_sim.window import Window
from models.base import NONE
from models.features import Known
from wire.moments import EventMs
from wire.sample import HISTORY_LEN


@dataclass
class Row:
    seq: int
    item: int
    label: int
    timestamp: int
    history: list[int]


class ListWindow:
    """The oracle: a list, cut by count in arrival order, then by age."""

    def __init__(self, count: int, age_ms: int) -> None:
        self.count, self.age_ms, self.arrived = count, age_ms, list[Row]()

    def rows(self) -> list[Row]:
        newest = max((row.timestamp for row in self.arrived), default=0)
        young = [row for row in self.arrived[-self.count :] if row.timestamp >= newest - self.age_ms]
        return sorted(young, key=lambda row: row.timestamp)


def keys(history: list[int]) -> bytes:
    return np.array(history, np.uint32).tobytes()


def padded(history: list[int]) -> list[int]:
    return history + [0] * (HISTORY_LEN - len(history))


arrivals = st.lists(
    st.tuples(st.integers(1, 50), st.integers(0, 1), st.integers(0, 3000), st.lists(st.integers(1, 9), max_size=30)),
    max_size=60,
)


@given(arrivals, st.integers(1, 20), st.integers(0, 2000), st.integers(0, 60))
def test_holds_what_a_list_would_also_after_a_rest(
    rows: list[tuple[int, int, int, list[int]]], count: int, age_ms: int, rest_at: int
) -> None:
    window, oracle = Window(count, age_ms), ListWindow(count, age_ms)
    for n, (item, label, timestamp, history) in enumerate(rows):
        if n == rest_at:
            window = Window.restore(window.state(), count, age_ms)
        seq = window.append(item, item + 1, label, timestamp, taken=(n, 2 * n), history=(keys(history),) * 2)
        oracle.arrived.append(Row(seq, item, label, timestamp, history))
    held, wanted = window.rows(), oracle.rows()
    assert held.seq.tolist() == [row.seq for row in wanted]
    assert held.item.tolist() == [row.item for row in wanted]
    assert held.category.tolist() == [row.item + 1 for row in wanted]
    assert held.label.tolist() == [row.label for row in wanted]
    assert held.timestamp.tolist() == [row.timestamp for row in wanted]
    assert list(zip(held.times.tolist(), held.since_s.tolist(), strict=True)) == [(r.seq, 2 * r.seq) for r in wanted]
    unencoded = window.unencoded()
    assert unencoded.seq.tolist() == held.seq.tolist()
    assert unencoded.item.tolist() == held.item.tolist()
    assert unencoded.history_item.tolist() == [padded(row.history) for row in wanted]
    assert window.young == len(wanted)


def filled(n: int, count: int = 8, base: float = NONE) -> Window:
    window = Window(count, 10**9)
    for item in range(1, n + 1):
        window.append(item, 1, 0, item, taken=(0, 0), history=(b"", b""), base=base)
    return window


def test_logits_stay_with_their_rows() -> None:
    window = filled(12)
    for seq in range(12):  # the first four are gone already
        window.set_logit(seq, seq)
    assert window.rows().logit.tolist() == list(range(4, 12)) and not len(window.unencoded())
    window.append(99, 1, 0, 99, taken=(0, 0), history=(b"", b""))
    assert np.isnan(window.rows().logit[-1]) and window.unencoded().item.tolist() == [99]


def test_many_logits_at_once_skip_what_has_gone() -> None:
    window = filled(12)
    window.set_logits(np.array([2, 5, 11]), np.array([2, 5, 11], np.float32))
    rows = window.rows()
    assert {seq: logit for seq, logit in zip(rows.seq.tolist(), rows.logit.tolist(), strict=True) if logit > 0} == {
        5: 5.0,
        11: 11.0,
    }
    assert window.unencoded().seq.tolist() == [4, 6, 7, 8, 9, 10]


def test_another_model_forgets_all_logits_but_what_the_service_expected() -> None:
    window = filled(3, base=0.5)
    window.append(9, 1, 0, 9, taken=(0, 0), history=(b"", b""))
    window.set_logits(np.arange(4), np.full(4, 0.75, np.float32))
    window.forget_logits()
    np.testing.assert_equal(window.rows().logit.tolist(), [0.5, 0.5, 0.5, np.nan])
    assert window.unencoded().item.tolist() == [9]


def test_rows_are_copies() -> None:
    window = filled(3)
    rows = window.rows()
    window.set_logit(0, 1.0)
    assert np.isnan(rows.logit).all()


def test_a_smaller_window_forgets_at_once() -> None:
    window = filled(8)
    window.resize(3, 10**9)
    assert window.rows().item.tolist() == [6, 7, 8]


def test_logits_survive_a_rest_to_the_bit() -> None:
    window = filled(5)
    window.set_logits(np.arange(4), np.array([0.1, -2.5, 3e-4, 7], np.float32))
    back = Window.restore(window.state(), 8, 10**9).rows().logit
    assert back.tobytes() == window.rows().logit.tobytes()


def test_a_window_of_more_than_it_is_to_hold_after_a_rest_holds_as_many_until_a_task_says_how_many() -> None:
    window = Window.restore(filled(40, count=40).state(), 4, 10**9)
    for n in range(40, 60):
        window.append(n, 1, 0, n, taken=(0, 0), history=(b"", b""))
    assert window.rows().seq.tolist() == list(range(20, 60))
    window.resize(4, 10**9)
    assert window.rows().seq.tolist() == list(range(56, 60))


def test_a_window_of_samples_in_order_takes_few_bytes_for_each() -> None:
    """Each user takes every other item that they meet, and has a history of 30."""
    window, known = Window(100, 10**12), Known()
    for n in range(1000):
        features = known.take(n + 1, 1, n % 2, EventMs(1000 * n))
        window.append(n + 1, 1, n % 2, 1000 * n, taken=features[:2], history=features[2:])
    assert len(window) == 100 and window.nbytes < 100 * 45
