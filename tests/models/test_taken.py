from hypothesis import given
from hypothesis import strategies as st

from models.taken import MOST, Taken

POSITIVES = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 10**5)), max_size=60)


@given(POSITIVES, st.integers(0, 60), st.integers(1, 5), st.integers(0, 10**5 + 1))
def test_says_what_a_list_would_also_after_a_rest(
    positives: list[tuple[int, int]], rest_at: int, item: int, now_ms: int
) -> None:
    taken = Taken()
    for n, positive in enumerate(positives):
        if n == rest_at:
            taken = Taken.restore(*taken.state())
        taken.add(*positive)
    earlier = [at for i, at in positives if i == item and at < now_ms]
    assert taken.before(item, now_ms) == ((len(earlier), (now_ms - max(earlier)) // 1000) if earlier else (0, 0))


def test_forgets_the_oldest_and_says_what_it_takes() -> None:
    taken = Taken()
    for n in range(MOST + 1):
        taken.add(n, n)
    assert taken.before(0, 10_000 + MOST) == (0, 0)
    assert taken.before(MOST, 10_000 + MOST) == (1, 10)
    assert taken.nbytes == 12 * MOST
