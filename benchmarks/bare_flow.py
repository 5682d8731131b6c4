"""A Bytewax flow that does nothing but read our source and count: the reference of `benchmarks.flow`.

python -m benchmarks.bare_flow BOOTSTRAP STATE_FOLDER --metrics-port N
"""

import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig
from bytewax.testing import cluster_main

from monitor.metrics import Metrics
from streams.flow.blame import Blame
from streams.flow.settings import FlowSettings
from streams.flow.source import KafkaInput, Reader
from streams.flow.state import prepare_state
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.topics import EVENTS
from streams.metrics_server import metrics_server
from streams.stop import Stop
from wire.clock import SystemClock

PARTITIONS = 4


class Count(StatelessSinkPartition[Any]):
    """Counts as if all were pooled, so that the same eyes see it."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def write_batch(self, items: list[Any]) -> None:
        """So many more."""
        self._metrics.pooled.inc(len(items))


class CountSink(DynamicSink[Any]):
    """A `Count` on each worker."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Count:  # noqa: ARG002
        """The worker's own."""
        return Count(self._metrics)


def main(bootstrap: str, state: Path, metrics_port: int) -> None:
    """Run until told to stop."""
    stop, flow, metrics = Stop(), Dataflow("bare"), Metrics()
    reader = Reader(KafkaBus(KafkaSettings(bootstrap)), Blame(), SystemClock(), time.sleep)
    source = KafkaInput(
        reader, [(EVENTS, n) for n in range(PARTITIONS)], ready=lambda: True, stopping=lambda: bool(stop.signal)
    )
    prepare_state(state / "state")
    messages: Any = op.input("kafka", flow, source)
    op.output("out", messages, CountSink(metrics))
    epoch_ms = FlowSettings(bootstrap=bootstrap, pool="", state="").epoch_ms
    with stop.listening(), metrics_server(metrics_port, metrics.registry):
        cluster_main(  # type: ignore[no-untyped-call]
            flow,
            [],
            0,
            epoch_interval=timedelta(milliseconds=epoch_ms),
            recovery_config=RecoveryConfig(state / "state"),  # type: ignore[no-untyped-call]
        )
        reader.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[4]))
