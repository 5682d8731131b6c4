"""The dataflow's input: every Kafka partition is a Bytewax part with its resume offset; one consumer reads them all.

Bytewax's own KafkaSource opens one consumer with four threads per partition, polls them one by one, commits
nothing that a lag tool could see, and skips data silently when a resume offset is gone. Here a process has one
consumer, offsets are checked (`streams.kafka.consumer`), and positions are mirrored into a consumer group.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from streams.flow.blame import Blame
from streams.kafka.bounds import bounds
from streams.kafka.connection import KafkaSettings, is_embedded
from streams.kafka.consumer import BatchConsumer, Message, Partition
from streams.kafka.lag import GroupPositions
from streams.kafka.topics import FLOW_GROUP
from wire.errors import InputError

# At 1,000 events/s a poll finds about 5 events after this; far below the 250 ms that pooling may take (ours).
_IDLE = timedelta(milliseconds=5)
_POLL_AGAIN_S = 0.001  # parts take turns within one pass of the worker; one poll per pass serves them all
_BATCH = 1000  # from here on bigger batches gain nothing (DESIGN.md: 0.78 M items/s)
_BUFFERED_MOST = 20 * _BATCH  # messages held for parts that wait for their epoch
_MIRROR_EVERY_S = 0.2


class Reader:
    """The one consumer of this process, which all its parts share; opened when the first part asks for messages."""

    def __init__(self, settings: KafkaSettings, blame: Blame) -> None:
        self.blame = blame
        self._settings = settings
        self._begin: dict[Partition, int | None] = {}
        self._buffers: dict[Partition, list[Message]] = {}
        self._buffered = 0
        self._consumer: BatchConsumer | None = None
        self._group: GroupPositions | None = None
        self._done: dict[Partition, int] = {}
        self._taken_ms: dict[Partition, int] = {}
        self._empty_s = self._mirrored_s = float("-inf")

    def add(self, partition: Partition, offset: int | None) -> None:
        """Read `partition` too, from `offset` on, or from the beginning."""
        if offset is None and is_embedded(self._settings.bootstrap):
            offset = 0  # this broker drops what is old: say so, rather than begin after it
        self._begin[partition] = offset
        self._taken_ms[partition] = 0
        self._buffers[partition] = []

    def take(self, partition: Partition) -> list[Message]:
        """The next messages of `partition`, at once; empty when there are none yet."""
        if not self._buffers[partition] and self._buffered < _BUFFERED_MOST:
            self._poll()
        taken = self._buffers[partition]
        self._buffers[partition] = []
        self._buffered -= len(taken)
        if taken:
            self._taken_ms[partition] = taken[-1].timestamp_ms
        return taken

    def taken_ms(self) -> dict[Partition, int]:
        """When the newest message that was taken was produced (wall clock), per partition; 0 before the first."""
        return dict(self._taken_ms)

    def done(self, partition: Partition, offset: int) -> None:
        """Everything before `offset` went through the whole dataflow: lag tools may know."""
        self._done[partition] = offset
        now_s = time.monotonic()
        if now_s - self._mirrored_s >= _MIRROR_EVERY_S:
            self._mirrored_s = now_s
            self._mirror()

    def close(self) -> None:
        """Mirror the last positions and let the connections go."""
        if self._group is not None:
            self._mirror()
            self._group.close()
        if self._consumer is not None:
            self._consumer.close()

    def _poll(self) -> None:
        now_s = time.monotonic()
        if now_s - self._empty_s < _POLL_AGAIN_S:
            return
        messages = self._open().poll(_BATCH, timeout_s=0)
        if not messages:
            self._empty_s = now_s
        for message in messages:
            self._buffers[message.topic, message.partition].append(message)
        self._buffered += len(messages)

    def _open(self) -> BatchConsumer:
        if self._consumer is None:
            self._check_offsets()
            topics = sorted({topic for topic, _ in self._begin})
            self._consumer = BatchConsumer(self._settings, FLOW_GROUP, topics, "earliest", assign=self._begin)
        return self._consumer

    def _check_offsets(self) -> None:
        """Say at once what is wrong with offsets that Kafka does not have."""
        kept = {k: v for topic in {topic for topic, _ in self._begin} for k, v in bounds(self._settings, topic).items()}
        for (topic, number), offset in self._begin.items():
            first, end = kept.get((topic, number), (0, 0))
            if offset is not None and not first <= offset <= end:
                what_to_do = (
                    "what lies between is gone, replay it, and start the dataflow before the replay"
                    if offset < first
                    else "the state belongs to another Kafka, give another --state"
                )
                raise InputError(
                    f"the dataflow would go on at offset {offset} of {topic}[{number}], but Kafka at "
                    f"{self._settings.bootstrap} has {first} to {end}: {what_to_do}"
                )

    def _mirror(self) -> None:
        if self._group is None:
            self._group = GroupPositions(self._settings, FLOW_GROUP)
        self._group.mirror(self._done)
        self._done = {}


class KafkaInput(FixedPartitionedSource[Message, int | None]):
    """All partitions of some topics, `partitions` of each.

    Nothing is read before `ready()`; when `stopping()`, every part ends, the dataflow drains and takes its last
    snapshot: that is how a signal ends it cleanly.
    """

    def __init__(
        self,
        reader: Reader,
        partitions: Mapping[str, int],
        ready: Callable[[], bool],
        stopping: Callable[[], bool],
    ) -> None:
        self._reader = reader
        self._parts = {f"{topic}/{n}": (topic, n) for topic, count in partitions.items() for n in range(count)}
        self._ready = ready
        self._stopping = stopping

    def list_parts(self) -> list[str]:
        """Every partition can be read by every worker; Bytewax shares them out evenly."""
        return list(self._parts)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "KafkaPart":  # noqa: ARG002
        """The part of one partition, from the offset of the last snapshot on."""
        if for_part not in self._parts:
            raise InputError(
                f"the saved state has a position for {for_part}, which Kafka does not have: "
                "the state belongs to another Kafka, give another --state folder"
            )
        self._reader.add(self._parts[for_part], resume_state)
        return KafkaPart(self._reader, self._parts[for_part], resume_state, self._ready, self._stopping)


class KafkaPart(StatefulSourcePartition[Message, int | None]):
    """One partition; its state is the offset that comes next, None before the first message."""

    def __init__(
        self,
        reader: Reader,
        partition: Partition,
        offset: int | None,
        ready: Callable[[], bool],
        stopping: Callable[[], bool],
    ) -> None:
        self._reader = reader
        self._partition = partition
        self._offset = offset
        self._snapshotted: int | None = None
        self._ready = ready
        self._stopping = stopping
        self._idle = False

    def next_batch(self) -> list[Message]:
        """Messages that are there now; ends when the dataflow shall stop."""
        if self._snapshotted is not None:
            # Bytewax begins an epoch only when the whole dataflow is through with the one before.
            self._reader.done(self._partition, self._snapshotted)
            self._snapshotted = None
        if self._stopping():
            raise StopIteration
        with self._reader.blame:
            messages = self._reader.take(self._partition) if self._ready() else []
        self._idle = not messages
        if messages:
            self._offset = messages[-1].offset + 1
        return messages

    def next_awake(self) -> datetime | None:
        """At once while there is data, else after a short rest."""
        return datetime.now(UTC) + _IDLE if self._idle else None

    def snapshot(self) -> int | None:
        """The offset to resume at."""
        self._snapshotted = self._offset
        return self._offset
