import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.streamed.boosted import Boosted
from streams.base.training import Abandoned, Beside, Hand, Job, at_once


def of_rounds(look: object, rounds: int = 5) -> Boosted:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1000, 2)).astype(np.float32)
    label = (features[:, 0] > 0).astype(np.uint8)
    return Boosted(features, label, columns=[0, 1], held=[], rounds=rounds, seed=0, after_round=look)  # type: ignore[arg-type]


@pytest.mark.parametrize("hand", [at_once, None])
def test_a_hand_makes_the_same_trees(hand: Hand | None) -> None:
    with ThreadPoolExecutor(1) as thread, Beside(thread) as beside:
        outcome = (hand or beside)(of_rounds)
        assert outcome.result().state() == of_rounds(lambda: None).state()


def test_beside_the_stream_goes_on_and_whoever_leaves_need_not_wait() -> None:
    begun = threading.Event()

    def endless(look: object) -> Boosted:
        begun.set()
        return of_rounds(look, rounds=10**9)

    job: Job = endless
    with ThreadPoolExecutor(1) as thread, Beside(thread) as beside:
        outcome = beside(job)
        assert begun.wait(60), "nobody waits for it"
    with pytest.raises(Abandoned):
        outcome.result()
