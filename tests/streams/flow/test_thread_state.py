import threading
from collections.abc import Callable

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.testing import TestingSink, cluster_main

from streams.flow.thread_state import keep_thread_state


class Numbers(FixedPartitionedSource[int, None]):
    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin

    def list_parts(self) -> list[str]:
        return ["0"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> StatefulSourcePartition[int, None]:  # noqa: ARG002
        self._begin()
        return NumbersPart()


class NumbersPart(StatefulSourcePartition[int, None]):
    def __init__(self) -> None:
        self._left = 3

    def next_batch(self) -> list[int]:
        if not self._left:
            raise StopIteration
        self._left -= 1
        return [self._left]

    def snapshot(self) -> None:
        return None


@pytest.mark.parametrize(("keep", "counted"), [(True, [1, 2, 3]), (False, [1, 1, 1])])
def test_what_is_local_to_bytewaxs_worker_lasts_once_its_state_is_kept(keep: bool, counted: list[int]) -> None:
    local, out, flow = threading.local(), list[int](), Dataflow("numbers")

    def count(_numbers: list[int]) -> list[int]:
        local.passes = getattr(local, "passes", 0) + 1
        return [local.passes]

    numbers = op.input("in", flow, Numbers(keep_thread_state if keep else lambda: None))
    op.output("out", op.flat_map_batch("count", numbers, count), TestingSink(out))
    cluster_main(flow, [], 0)  # type: ignore[no-untyped-call]
    assert out == counted
