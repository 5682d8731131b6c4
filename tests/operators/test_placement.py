"""Bytewax's own routing is the oracle: where keys land on three workers of one process."""

import threading
from typing import ClassVar

import bytewax.operators as op
import pytest
from bytewax.connectors.stdio import StdOutSink
from bytewax.dataflow import Dataflow
from bytewax.operators import KeyedStream, StatefulBatchLogic
from bytewax.testing import TestingSource, cluster_main

from operators.placement import shard_key, worker_of

WORKERS = 3


class Whereabouts(StatefulBatchLogic[str, str, None]):
    seen: ClassVar[dict[str, int]] = {}

    def on_batch(self, values: list[str]) -> tuple[list[str], bool]:
        self.seen[values[0]] = threading.get_ident()
        return [], self.RETAIN

    def snapshot(self) -> None:
        return None


def test_agrees_with_where_bytewax_routes_a_key() -> None:
    keys = [f"key-{'x' * (n % 9)}-{n}" for n in range(40)]
    flow = Dataflow("where")
    stream: KeyedStream[str] = op.key_on("key", op.input("in", flow, TestingSource(keys)), lambda key: key)
    op.output("out", op.stateful_batch("where", stream, lambda _: Whereabouts()), StdOutSink())
    cluster_main(flow, [], 0, worker_count_per_proc=WORKERS)  # type: ignore[no-untyped-call]
    threads = {(worker_of(key, WORKERS), Whereabouts.seen[key]) for key in keys}
    assert len(threads) == len({worker for worker, _ in threads}) == len({thread for _, thread in threads})


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_shards_spread_evenly(workers: int) -> None:
    assert [worker_of(shard_key(shard, workers), workers) for shard in range(7)] == [s % workers for s in range(7)]
    assert len({shard_key(shard, workers) for shard in range(50)}) == 50
