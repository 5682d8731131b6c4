import tracemalloc

import numpy as np

from streams.training.pile import SAMPLE_BYTES, Pile
from tests.models.samples import tasteful_samples

BLOCK = tasteful_samples(3000, seed=1)


def _piled(n: int, each: int) -> Pile:
    pile = Pile()
    for at in range(0, n, each):
        pile.add(BLOCK.take(np.arange(at, min(at + each, n))))
    return pile


def test_samples_lie_in_the_order_in_which_they_came() -> None:
    pile = _piled(1000, each=7)
    assert len(pile) == 1000
    assert pile.all().sample.tolist() == BLOCK.sample[:1000].tolist()


def test_what_is_over_the_bound_is_the_oldest() -> None:
    pile = _piled(1000, each=7)
    assert pile.keep_newest(300).sample.tolist() == BLOCK.sample[:700].tolist()
    assert pile.all().sample.tolist() == BLOCK.sample[700:1000].tolist()
    assert len(pile.keep_newest(300)) == 0
    pile.clear()
    assert len(pile) == 0


def test_a_sample_takes_its_columns_however_few_come_at_a_time() -> None:
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    pile = _piled(3000, each=1)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert SAMPLE_BYTES <= (after - before) / len(pile) < 1.5 * SAMPLE_BYTES
