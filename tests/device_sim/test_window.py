from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from device_sim.window import Window
from wire.arrays import U32
from wire.sample import HISTORY_LEN

DIM = 4


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
    window, oracle = Window(DIM, count, age_ms), ListWindow(count, age_ms)
    for n, (item, label, timestamp, history) in enumerate(rows):
        if n == rest_at:
            window = Window.restore(window.state(), DIM, count, age_ms)
        seq = window.append(item, item + 1, label, timestamp, taken=(n, 2 * n), history=(keys(history),) * 2)
        oracle.arrived.append(Row(seq, item, label, timestamp, history))
    held, wanted = window.rows(), oracle.rows()
    assert held.seq.tolist() == [row.seq for row in wanted]
    assert held.item.tolist() == [row.item for row in wanted]
    assert held.category.tolist() == [row.item + 1 for row in wanted]
    assert held.label.tolist() == [row.label for row in wanted]
    assert held.timestamp.tolist() == [row.timestamp for row in wanted]
    assert list(zip(held.times.tolist(), held.since_s.tolist(), strict=True)) == [(r.seq, 2 * r.seq) for r in wanted]
    assert held.history_item.tolist() == [padded(row.history) for row in wanted]
    assert sorted(window.labels().tolist()) == sorted(row.label for row in wanted)


def filled(n: int, count: int = 8) -> Window:
    window = Window(DIM, count, 10**9)
    for item in range(1, n + 1):
        window.append(item, 1, 0, item, taken=(0, 0), history=(b"", b""))
    return window


def test_vectors_stay_with_their_rows() -> None:
    window = filled(12)
    for seq in range(12):  # the first four are gone already
        window.set_vector(seq, np.full(DIM, seq, np.float32), model=7)
    rows = window.rows()
    assert rows.interest[:, 0].tolist() == list(range(4, 12))
    assert set(rows.model.tolist()) == {7}
    window.append(99, 1, 0, 99, taken=(0, 0), history=(b"", b""))
    assert window.rows().model.tolist()[-1] == 0


def test_many_vectors_at_once_skip_what_has_gone() -> None:
    window = filled(12)
    seqs = np.array([2, 5, 11])
    window.set_vectors(seqs, np.array([[2] * DIM, [5] * DIM, [11] * DIM], np.float16), model=3)
    rows = window.rows()
    assert dict(zip(rows.seq.tolist(), rows.model.tolist(), strict=True)) == {
        seq: 3 if seq in (5, 11) else 0 for seq in range(4, 12)
    }
    assert rows.interest[rows.seq == 5][0, 0] == 5


def test_rows_are_copies() -> None:
    window = filled(3)
    rows = window.rows()
    window.set_vector(0, np.ones(DIM, np.float32), model=1)
    assert rows.model.tolist() == [0, 0, 0]


def test_a_smaller_window_forgets_at_once() -> None:
    window = filled(8)
    window.resize(3, 10**9)
    assert window.rows().item.tolist() == [6, 7, 8]


def test_vectors_survive_a_rest_to_the_bit() -> None:
    window = filled(5)
    vector = np.array([0.1, -2.5, 3e-4, 7], np.float32)
    window.set_vector(4, vector, model=2)
    back: U32 = Window.restore(window.state(), DIM, 8, 10**9).rows().interest[4].view(np.uint16)
    assert back.tolist() == vector.astype(np.float16).view(np.uint16).tolist()
