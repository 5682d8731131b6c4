import numpy as np
import pytest

from benchmarks.alternatives import AGAIN, COMMIT, K, coming_again, recall_of
from benchmarks.flow import Load
from index.matches import LABELS
from tests.index.samples import samples
from wire.arrays import I64

N = 3_000


def load(n: int) -> Load:
    made: Load = object.__new__(Load)
    made.keys = [str(at % 7).encode() for at in range(n)]
    made.values = [str(at).encode() for at in range(n)]
    return made


def test_each_hundredth_event_comes_twice_in_order_and_with_its_user() -> None:
    again, row = coming_again(load(250))

    assert row.tolist() == sorted([*range(250), *range(0, 250, AGAIN)])
    assert again.values == [str(at).encode() for at in row.tolist()]
    assert again.keys == [str(at % 7).encode() for at in row.tolist()]


@pytest.mark.parametrize("asked", [1_500, 2_990])
def test_recall_is_of_what_was_there_at_the_end_of_the_commit(asked: int) -> None:
    block = samples(range(1, N + 1), labels=[0, 1] * (N // 2))
    assert block.match_key is not None
    score, until = block.match_key @ block.match_key[asked], COMMIT * (asked // COMMIT + 1)
    best = [[at for at in np.argsort(-score).tolist() if at < until and at % 2 == label][:K] for label in LABELS]
    worst_instead = [best[0], [*best[1][: K // 2], *range(1, K, 2)]]

    def recall(found: list[list[int]]) -> float:
        rows: I64 = np.array([found])
        return recall_of(np.array([asked]), rows, block, np.arange(N))

    assert recall(best) == 1
    assert 0.75 <= recall(worst_instead) < 1
