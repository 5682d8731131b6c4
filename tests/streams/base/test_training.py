import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.streamed.boosted import Boosted
from streams.base.training import Abandoned, Beside, at_once


def of_rounds(look: object, rounds: int = 5) -> Boosted:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1000, 2)).astype(np.float32)
    label = (features[:, 0] > 0).astype(np.uint8)
    return Boosted(features, label, columns=[0, 1], held=[], rounds=rounds, seed=0, after_round=look)  # type: ignore[arg-type]


def test_a_hand_makes_the_same_trees() -> None:
    with ThreadPoolExecutor(1) as thread, Beside(thread, lambda: False) as beside:
        for hand in (at_once, beside):
            assert hand(of_rounds).result().state() == of_rounds(lambda: None).state()


@pytest.mark.parametrize("told", [True, False])
def test_whoever_leaves_or_is_told_to_stop_need_not_wait(told: bool) -> None:
    begun, stop = threading.Event(), threading.Event()

    def endless(look: object) -> Boosted:
        begun.set()
        return of_rounds(look, rounds=10**9)

    with ThreadPoolExecutor(1) as thread, Beside(thread, stop.is_set) as beside:
        outcome = beside(endless)
        assert begun.wait(60) and not outcome.done(), "nobody waits for it"
        if told:
            stop.set()
            with pytest.raises(Abandoned):
                outcome.result(60)
    with pytest.raises(Abandoned):
        outcome.result(60)
