"""Where the dataflow's CPU time goes, without Kafka: part of `python -m benchmarks.flow`."""

import cProfile
import pstats
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.recovery import RecoveryConfig
from bytewax.testing import run_main

from models.cloud_model import CloudModel
from monitor.metrics import Metrics
from streams.bus import Message
from streams.flow.blame import Blame
from streams.flow.dataflow import build_flow
from streams.flow.pool_shards import PoolShards
from streams.flow.settings import FlowSettings
from streams.flow.sink import KafkaOutput, KafkaWriter
from streams.flow.state import prepare_state
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.topics import EVENTS
from wire.clock import SystemClock

# What a profile is summed up by: each function's cumulative share is one line.
STEPS = {
    "decode": ("decode.py", "decode"),
    "user: dedupe, features, due": ("user.py", "on_batch"),
    "encode": ("encode.py", "encode"),
    "pool upsert": ("pool.py", "upsert"),
    "search": ("pool.py", "search"),
    "random samples": ("pool.py", "sample_random"),
    "read candidates": ("pool.py", "scored"),
    "gather": ("gather.py", "on_batch"),
    "encode batches": ("flow.py", "candidates"),
    "encode samples for Kafka": ("sample.py", "encode_record"),
}


def profile(values: Sequence[bytes], model: CloudModel) -> dict[str, Any]:
    """CPU seconds per event of the steps, without Kafka, in this process; shares under a profiler."""
    with tempfile.TemporaryDirectory() as folder:
        plain_s, _ = in_process(values, model, Path(folder) / "plain", None)
        profiler = cProfile.Profile(time.thread_time)
        profiled_s, batches = in_process(values, model, Path(folder) / "profiled", profiler)
    stats: Any = pstats.Stats(profiler)
    cumulative = {(Path(file).name, name): row[3] for (file, _, name), row in stats.stats.items()}
    shares = {step: cumulative.get(place, 0.0) / profiled_s for step, place in STEPS.items()}
    shares["Bytewax, snapshots, the rest"] = 1 - sum(shares.values())
    return {"events_per_core_s": len(values) / plain_s, "batches": batches, "shares": shares}


class _Listed(FixedPartitionedSource[Message, int]):
    """The events as if Kafka had them ready, 1,000 at a time."""

    def __init__(self, values: Sequence[bytes]) -> None:
        now = SystemClock().wall_ms()
        self._messages = [Message(EVENTS, 0, at, b"", value, now, {}) for at, value in enumerate(values)]

    def list_parts(self) -> list[str]:
        return ["events/0"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "_ListedPart":  # noqa: ARG002
        return _ListedPart(self._messages)


class _ListedPart(StatefulSourcePartition[Message, int]):
    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._at = 0

    def next_batch(self) -> Sequence[Message]:
        if self._at >= len(self._messages):
            raise StopIteration
        self._at += 1000
        return self._messages[self._at - 1000 : self._at]

    def snapshot(self) -> int:
        return self._at


class _Forgotten(KafkaOutput):
    """A sink that only counts candidate batches."""

    def __init__(self) -> None:
        super().__init__(KafkaBus(KafkaSettings()), 0, Blame())
        self.batches = 0

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> KafkaWriter:  # noqa: ARG002
        forgotten = self

        class Writer(KafkaWriter):
            def __init__(self) -> None:
                pass

            def write_batch(self, values: list[Any]) -> None:
                forgotten.batches += sum(len(v.values) for v in values if v.topic == "candidates")

            def snapshot(self) -> None:
                pass

            def close(self) -> None:
                pass

        return Writer()


def in_process(
    values: Sequence[bytes], model: CloudModel, folder: Path, profiler: cProfile.Profile | None = None
) -> tuple[float, int]:
    """CPU seconds that the dataflow takes for these events, and how many batches came of them."""
    settings = FlowSettings(bootstrap="", pool=str(folder / "pool"), state=str(folder / "state"))
    prepare_state(Path(settings.state))
    sink = _Forgotten()
    with PoolShards(Path(settings.pool), 1, settings.pool_spec) as pools:
        source: Any = _Listed(values)
        flow = build_flow(
            settings,
            source,
            sink,
            pools,
            clock=SystemClock(),
            metrics=Metrics(),
            model=lambda: model,
            blame=Blame(),
        )
        began = time.process_time()
        with profiler or nullcontext():
            run_main(  # type: ignore[no-untyped-call]
                flow,
                epoch_interval=timedelta(milliseconds=settings.epoch_ms),
                recovery_config=RecoveryConfig(settings.state),  # type: ignore[no-untyped-call]
            )
        return time.process_time() - began, sink.batches
