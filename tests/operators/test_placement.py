"""Bytewax's own routing is the oracle: where keys land on three workers of one process."""

import threading
from typing import ClassVar

import bytewax.operators as op
import pytest
from bytewax.connectors.stdio import StdOutSink
from bytewax.dataflow import Dataflow
from bytewax.operators import KeyedStream, StatefulBatchLogic
from bytewax.testing import TestingSource, cluster_main

from operators.placement import EVENLY, shard_key, shards_of, worker_key, worker_of

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


@pytest.mark.parametrize("shards", [1, 2, 5, 8, 16])
def test_shards_have_keys_of_their_own_that_spread_evenly_over_any_number_of_workers(shards: int) -> None:
    keys = [shard_key(shard, shards) for shard in range(shards)]
    assert len(set(keys)) == shards
    for workers in filter(lambda workers: EVENLY % workers == 0, range(1, shards + 1)):
        assert [worker_of(key, workers) for key in keys] == [shard % workers for shard in range(shards)]
        assert shards_of(workers - 1, workers, shards) == list(range(workers - 1, shards, workers))


@pytest.mark.parametrize("workers", [9, 11, 13])
def test_where_they_cannot_spread_evenly_each_is_on_one_worker_all_the_same(workers: int) -> None:
    found = [shard for worker in range(workers) for shard in shards_of(worker, workers, 20)]
    assert sorted(found) == list(range(20))


@pytest.mark.parametrize("workers", [1, 2, 7, 9])
def test_every_worker_has_a_key(workers: int) -> None:
    assert [worker_of(worker_key(worker, workers), workers) for worker in range(workers)] == list(range(workers))
