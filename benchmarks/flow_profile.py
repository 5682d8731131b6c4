"""Where the dataflow's CPU time goes, without Kafka: part of `python -m benchmarks.flow`."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.recovery import RecoveryConfig
from bytewax.testing import run_main

from index.pool import Pool
from models.cloud_model import CloudModel
from monitor.metrics import Metrics
from operators import event_time, gather, shard
from operators.event_time import EventClock
from operators.shard_users import ShardUsers
from streams.bus import Message
from streams.flow.blame import Blame
from streams.flow.dataflow import build_flow
from streams.flow.pool_shards import PoolShards
from streams.flow.settings import FlowSettings
from streams.flow.sink import KafkaOutput, KafkaWriter
from streams.flow.state import prepare_state
from streams.flow.state_shards import StateShards
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.topics import EVENTS
from wire.clock import SystemClock

# What the dataflow does, none of it within another; each is timed, because a profiler would weigh Python more than
# what numpy and torch do.
STEPS: dict[str, tuple[Any, str]] = {
    "decode": (event_time, "decode"),
    "event time": (EventClock, "take"),
    "user: dedupe, features, due": (ShardUsers, "handle"),
    "encode samples and queries": (shard, "encode"),
    "pool upsert": (Pool, "upsert"),
    "search": (Pool, "search"),
    "random samples": (Pool, "sample_random"),
    "read candidates": (Pool, "scored"),
    "gather, encode batches": (gather, "_batch"),
}


def profile(values: Sequence[bytes], model: CloudModel, at_a_time: int, **others: Any) -> dict[str, Any]:
    """CPU seconds per event without Kafka, in this process, with so many events in each pass and `others` of the
    dataflow's settings, and the steps' shares."""
    with tempfile.TemporaryDirectory() as folder:
        plain_s, _ = in_process(values, model, Path(folder) / "plain", at_a_time, **others)
        with timed() as spent_s:
            timed_s, batches = in_process(values, model, Path(folder) / "timed", at_a_time, **others)
    shares = {step: spent_s[step] / timed_s for step in STEPS}
    shares["Bytewax, snapshots, the rest"] = 1 - sum(shares.values())
    return {"events_per_core_s": len(values) / plain_s, "batches": batches, "shares": shares}


@contextmanager
def timed(steps: Mapping[str, tuple[Any, str]] = STEPS) -> Iterator[dict[str, float]]:
    """CPU seconds that each step has taken meanwhile."""
    spent_s: dict[str, float] = defaultdict(float)

    def timing_of(step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timing(*args: Any, **named: Any) -> Any:
            began_s = time.thread_time()
            try:
                return call(*args, **named)
            finally:
                spent_s[step] += time.thread_time() - began_s

        return timing

    with ExitStack() as patched:
        for step, (owner, name) in steps.items():
            patched.enter_context(patch.object(owner, name, timing_of(step, getattr(owner, name))))
        yield spent_s


class Listed(FixedPartitionedSource[Message, int]):
    """The events of one partition as if Kafka had them ready, so many at a time; `given` hears how many it gave."""

    def __init__(
        self,
        values: Sequence[bytes],
        at_a_time: int,
        partition: int = 0,
        given: Callable[[int], None] = lambda _events: None,
    ) -> None:
        self.given = given
        self._at_a_time, self._partition, now = at_a_time, partition, SystemClock().wall_ms()
        self._messages = [Message(EVENTS, partition, at, b"", value, now, {}) for at, value in enumerate(values)]

    def list_parts(self) -> list[str]:
        """Its own."""
        return [f"{EVENTS}/{self._partition}"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "_ListedPart":  # noqa: ARG002
        """It, from the beginning."""
        return _ListedPart(self, self._messages, self._at_a_time)


class _ListedPart(StatefulSourcePartition[Message, int]):
    def __init__(self, source: Listed, messages: Sequence[Message], at_a_time: int) -> None:
        self._source, self._messages, self._at_a_time = source, messages, at_a_time
        self._at = 0

    def next_batch(self) -> Sequence[Message]:
        self._source.given(self._at)
        if self._at >= len(self._messages):
            raise StopIteration
        self._at += self._at_a_time
        return self._messages[self._at - self._at_a_time : self._at]

    def snapshot(self) -> int:
        return self._at


class Forgotten(KafkaOutput):
    """A sink that only counts candidate batches."""

    def __init__(self, process: int = 0) -> None:
        super().__init__(KafkaBus(KafkaSettings()), process, Blame())
        self.batches = 0

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> KafkaWriter:  # noqa: ARG002
        """One that sends nothing."""
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
    values: Sequence[bytes], model: CloudModel, folder: Path, at_a_time: int = 1000, **others: Any
) -> tuple[float, int]:
    """CPU seconds that the dataflow takes for these events, with `others` of its settings, and batches that came."""
    settings = FlowSettings(bootstrap="", pool=str(folder / "pool"), state=str(folder / "state"), **others)
    prepare_state(Path(settings.state))
    sink = Forgotten()
    with (
        PoolShards(Path(settings.pool), 1, settings.pool_spec) as pools,
        StateShards(Path(settings.state), 1) as states,
    ):
        source: Any = Listed(values, at_a_time)
        flow = build_flow(
            settings,
            source,
            sink,
            pools,
            states,
            clock=SystemClock(),
            metrics=Metrics(),
            model=lambda: model,
            blame=Blame(),
        )
        began = time.process_time()
        run_main(  # type: ignore[no-untyped-call]
            flow,
            epoch_interval=timedelta(milliseconds=settings.epoch_ms),
            recovery_config=RecoveryConfig(settings.state),  # type: ignore[no-untyped-call]
        )
        return time.process_time() - began, sink.batches
