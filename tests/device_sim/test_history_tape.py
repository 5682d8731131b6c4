"""A tape gives back the histories that were put down, whatever their order, and takes little for those in order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from device_sim.history_tape import HistoryTape
from models.history import History
from wire.arrays import U32
from wire.sample import HISTORY_LEN

_positives = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5)), max_size=80)  # when, and which item


def _padded(keys: bytes) -> list[int]:
    found: list[int] = np.frombuffer(keys, np.uint32).tolist()
    return found + [0] * (HISTORY_LEN - len(found))


@given(_positives, st.integers(0, 80), st.integers(0, 80))
def test_it_holds_all_histories_from_where_it_was_cut_also_after_a_rest(
    positives: list[tuple[int, int]], cut_at: int, rest_at: int
) -> None:
    tape, history = HistoryTape(), History()
    held: list[tuple[int, int]] = []
    wanted: list[tuple[bytes, bytes]] = []
    for n, (when, item) in enumerate(positives):
        known = history.bytes_before(when)
        held.append(tape.add(*known))
        wanted.append(known)
        history.add(when, item, 9 * item)
        if n == rest_at:
            tape = HistoryTape.restore(tape.state())
        if n == cut_at:
            tape.cut(held[-1][0] - held[-1][1])
            held, wanted = held[-1:], wanted[-1:]
    ends, lengths = np.array([end for end, _ in held], np.uint32), np.array([n for _, n in held], np.uint8)
    items, categories = tape.read(ends, lengths)
    assert items.tolist() == [_padded(item) for item, _ in wanted]
    assert categories.tolist() == [_padded(category) for _, category in wanted]


def test_of_samples_in_order_only_what_is_between_them_is_put_down() -> None:
    tape, history = HistoryTape(), History()
    for n in range(100):
        tape.add(*history.bytes_before(n))
        history.add(n, 1 + n % 3, 1)
    assert tape.end == 99 and tape.nbytes == 8 * 99


def test_a_late_sample_costs_its_history_and_the_next_one_what_is_newer() -> None:
    tape, history = HistoryTape(), History()
    for n in range(40):
        history.add(n, n + 1, 1)
    for when in (40, 20, 40):
        tape.add(*history.bytes_before(when))
    assert tape.end == 30 + 20 + 20


def test_what_is_cut_off_is_free_and_the_newest_history_stays() -> None:
    tape = HistoryTape()
    keys: U32 = np.arange(30, 0, -1, dtype=np.uint32)
    end, length = tape.add(keys.tobytes(), keys.tobytes())
    tape.cut(end)
    assert tape.nbytes == 8 * length
    assert tape.read(np.array([end], np.uint32), np.array([length], np.uint8))[0][0].tolist() == keys.tolist()
