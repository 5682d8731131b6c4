"""What goes to another process is there what it was here."""

import pickle

import pytest

from operators.decode import Arrival
from operators.shard import Work, route
from tests.operators.sharded import outputs
from tests.operators.test_decode import Message, event, one


@pytest.mark.parametrize("base", [None, -1.5, 2.0])
def test_an_arrival_comes_to_another_process_as_it_was(base: float | None) -> None:
    arrival = one(Message("events", event(base=base, user_id="Ännchen 🍵", timestamp=0)))
    assert isinstance(arrival, Arrival)
    assert pickle.loads(pickle.dumps(arrival)) == arrival


def test_work_comes_to_another_process_as_it_was() -> None:
    works = [work for _, work in route(outputs(40), 2)]
    assert [pickle.loads(pickle.dumps(work)) for work in works] == works
    assert any(work.samples and work.queries for work in works)
    waited = [Work(0, [], [], works[0].samples)]
    assert pickle.loads(pickle.dumps(waited)) == waited
