"""Of a user's events each is new once, as long as anybody can tell."""

from array import array
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from models.quorum import LEAD_MS
from streams.scoring.came import DUPLICATE, LATE, Came
from streams.scoring.state import _pack, _unpack
from wire.moments import EventMs

SAMPLES = st.lists(st.integers(1, 40), max_size=150)


def words(came: Came, samples: Sequence[int]) -> list[str]:
    """What is said of a user's events, of which each has a moment of its own, five minutes apart."""
    found = []
    for sample in samples:
        timestamp = EventMs(10**12 + sample * LEAD_MS // 12)
        found.append(came.word(sample, timestamp))
        if not found[-1]:
            came.take(sample, timestamp)
    return found


@given(SAMPLES, st.integers(0, 150))
def test_agrees_with_who_remembers_everything_also_after_a_restart(samples: list[int], restart: int) -> None:
    expected: list[str] = []
    for n, sample in enumerate(samples):
        late = sample < max(samples[:n], default=0) - 12
        expected.append(LATE if late else DUPLICATE if sample in samples[:n] else "")
    came = Came()
    before = words(came, samples[:restart])
    assert before + words(Came.restore(_unpack(_pack(came.state()))), samples[restart:]) == expected


def test_at_rest_are_the_events_of_the_last_hour_alone() -> None:
    came = Came()
    words(came, range(1, 2_000))
    newest, (keys, _, _) = came.state()
    assert newest == 10**12 + 1_999 * LEAD_MS // 12 and [*array("Q", keys)] == [*range(1_987, 2_000)]
