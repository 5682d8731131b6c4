import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from streams.flow.brake import REST_MOST_S, REST_S, Brake, brake_step


class Worker:
    """One that waits or not, and its rests."""

    def __init__(self) -> None:
        self.waits = True
        self.rests_s: list[float] = []
        self.brake = Brake(0, 1, lambda: self.waits, self.rests_s.append)

    def rounds(self, n: int) -> list[float]:
        """How long it rested in each of the next rounds that it rested in."""
        self.rests_s.clear()
        for _ in range(n):
            self.brake.round()
        return list(self.rests_s)


def test_rests_only_while_it_waits_and_begins_briefly_each_time() -> None:
    worker = Worker()
    assert worker.rounds(1) == [REST_S]
    worker.waits = False
    assert worker.rounds(3) == []
    worker.waits = True
    assert worker.rounds(1) == [REST_S]


def test_is_late_by_a_quarter_of_the_wait_and_never_by_more_than_the_most() -> None:
    waited_s = 0.0
    for rest_s in Worker().rounds(100):
        assert rest_s <= max(REST_S, 0.25 * waited_s + REST_S + 1e-9)
        assert rest_s <= REST_MOST_S
        waited_s += rest_s
    assert waited_s > 50 * REST_MOST_S  # and rests grow, so that long waits cost few rounds


@pytest.mark.parametrize("waits", [True, False])
def test_bytewax_gives_it_rounds_without_more_that_comes(waits: bool) -> None:
    worker, out = Worker(), list[int]()
    worker.waits = waits
    flow = Dataflow("braked")
    came = op.input("in", flow, TestingSource([[1], [2], [3]], batch_size=1))
    brake_step("brake", came, worker.brake)
    op.output("out", op.flat_map("all", came, lambda each: each), TestingSink(out))
    run_main(flow)  # type: ignore[no-untyped-call]
    assert out == [1, 2, 3]
    assert bool(worker.rests_s) == waits
