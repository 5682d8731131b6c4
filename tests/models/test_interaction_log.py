import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import interaction_log
from models.interaction_log import MOST, MOST_TIMES, InteractionLog

# Keys whose bytes also turn up between keys: 256, 256 is 00 01 00 00 00 01 00 00 and holds 01 00 00 00, which is 1.
ITEMS = st.sampled_from([1, 256, 1 << 16, 1 << 24, 0x01010101, 0x01000001])
POSITIVES = st.lists(st.tuples(ITEMS, st.integers(0, 10**5)), max_size=60)


@given(POSITIVES, st.integers(0, 60), st.integers(1, 60), ITEMS, st.integers(0, 10**5 + 1))
def test_says_what_a_list_would_also_after_a_rest(
    positives: list[tuple[int, int]], rest_at: int, most: int, item: int, now_ms: int
) -> None:
    interactions = InteractionLog()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interaction_log, "MOST", most)
        for n, positive in enumerate(positives):
            if n == rest_at:
                interactions = InteractionLog.restore(*interactions.state())
            interactions.add(*positive)
    earlier = [at for i, at in positives[-most:] if i == item and at < now_ms]
    assert interactions.before(item, now_ms) == ((len(earlier), (now_ms - max(earlier)) // 1000) if earlier else (0, 0))


def test_forgets_the_oldest_and_says_what_it_takes() -> None:
    interactions = InteractionLog()
    for n in range(MOST + 1):
        interactions.add(n, n)
    assert interactions.before(0, 10_000 + MOST) == (0, 0)
    assert interactions.before(MOST, 10_000 + MOST) == (1, 10)
    assert interactions.nbytes == 12 * MOST


def test_counts_no_further_than_a_byte_goes() -> None:
    interactions = InteractionLog()
    for n in range(MOST_TIMES + 10):
        interactions.add(7, n)
    assert interactions.before(7, 10**6)[0] == MOST_TIMES
