"""The dataflow's input: every Kafka partition is a Bytewax part with its resume offset; one consumer reads them all.

Bytewax's own KafkaSource opens one consumer with four threads per partition, polls them one by one, commits
nothing that a lag tool could see, and skips data silently when a resume offset is gone. Here a process has one
consumer, offsets are checked (`streams.kafka.consumer`), and positions are mirrored into a consumer group.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from operators.event_time import End
from streams.bus import Bus, Consumer, Group, Message, Partition
from streams.flow.blame import Blame
from streams.flow.settings import LINGER_MS
from streams.kafka.topics import CONTROL, FLOW_GROUP
from wire.clock import AT_ONCE, Clock
from wire.errors import InputError

# A pass through the dataflow costs a few ms for nothing, which one event or many share. So passes begin as far apart as
# it takes `_ENOUGH` events to come, and the further the longer they take: a busy machine takes more at once. An event
# that comes alone waits for nothing, no other for more than the linger.
_ENOUGH = 64
_SHARE = 2
_MANY = 256  # messages at a time, of which a pass costs as much for each as of any more
_LULL_S = 0.001  # at a time, while the dataflow has work of its own
_NOT_YET_S = 0.01  # while nothing may be read
# When no part has anything, until the first message. A dataflow of several processes hears of the others as late; one
# that is alone looks so often whether it shall stop.
IDLE_S, IDLE_ALONE_S = 0.01, 0.25
_BATCH = 1000  # from here on bigger batches gain nothing
_BUFFERED_MOST = 20 * _BATCH  # messages held for parts that wait for their epoch
_MIRROR_EVERY_MS = 200
_MIRROR_AGAIN_MS = 60_000  # what has not moved: Kafka forgets a group that says nothing for days


class Reader:
    """The one consumer of this process, which all its parts share; opened when the first part asks for messages.

    It rests by `sleep` when there is nothing to do: Bytewax would wake it by a wall clock that somebody may set. For
    the first message it waits up to `idle_s`, and no message waits longer than `linger_ms` for others. While the
    dataflow is `busy` on its own, it rests no longer in one go than that may wait.
    """

    def __init__(
        self,
        bus: Bus,
        blame: Blame,
        clock: Clock,
        sleep: Callable[[float], None],
        *,
        idle_s: float = IDLE_S,
        linger_ms: int = LINGER_MS,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self.blame, self._busy = blame, busy
        self.epoch_ends = False  # from when positions are saved until the whole dataflow is through with the epoch
        self._bus, self._clock, self._sleep = bus, clock, sleep
        self._idle_s, self._linger_ms = idle_s, linger_ms
        self._begin: dict[Partition, int | None] = {}
        self._buffers: dict[Partition, list[Message]] = {}
        self._buffered = 0
        self._consumer: Consumer | None = None
        self._group: Group | None = None
        self._done: dict[Partition, int] = {}
        self._mirrored: dict[Partition, int] = {}
        self._asked: set[Partition] = set()  # since the last round of all parts began
        self._polled = 0  # messages of the last poll
        self._through = False  # whether the dataflow had a pass for them
        self._polled_ms = self._mirrored_ms = 0
        self._enough_ms = 0.0  # for so many to come, at the pace of the last ones

    def add(self, partition: Partition, offset: int | None) -> None:
        """Read `partition` too, from `offset` on, or from the beginning."""
        if offset is not None:
            self._done[partition] = offset  # what came before went through before the last snapshot
        elif self._bus.forgetful:
            offset = 0  # it drops what is old: say so, rather than begin after it
        self._begin[partition] = offset
        self._buffers[partition] = []

    def take(self, partition: Partition) -> list[Message]:
        """The next messages of `partition`; empty when there are none yet."""
        if self._begins_round(partition):
            self._poll()
        taken = self._buffers[partition]
        self._buffers[partition] = []
        self._buffered -= len(taken)
        return taken

    def rest(self, partition: Partition) -> None:
        """Instead of `take`, while nothing may be read."""
        if self._begins_round(partition):
            self._sleep(_NOT_YET_S)

    def offset(self, partition: Partition) -> int | None:
        """The offset that comes next, once everything before was taken: markers of transactions are passed over."""
        if self._consumer is None or self._buffers[partition]:
            return None
        offset = self._consumer.position(partition)
        return offset if offset >= 0 else None

    def at_end(self, partition: Partition) -> bool:
        """Whether all that was there was taken."""
        return self._consumer is not None and not self._buffers[partition] and self._consumer.at_end(partition)

    def done(self, partition: Partition, offset: int) -> None:
        """Everything before `offset` went through the whole dataflow: lag tools may know."""
        self._done[partition] = offset
        moved, now_ms = self._done != self._mirrored, self._clock.steady_ms()
        if now_ms >= self._mirrored_ms + (_MIRROR_EVERY_MS if moved else _MIRROR_AGAIN_MS):
            self._mirrored_ms = now_ms
            self._mirror()

    def close(self) -> None:
        """Mirror the last positions and let the connections go."""
        if self._done != self._mirrored:
            self._mirror()
        if self._group is not None:
            self._group.close()
        if self._consumer is not None:
            self._consumer.close()

    def _begins_round(self, partition: Partition) -> bool:
        """Parts take turns within one pass of the worker: whether all had theirs since a round began."""
        if partition not in self._asked:
            self._asked.add(partition)
            return len(self._asked) == 1
        self._asked = {partition}
        return True

    def _poll(self) -> None:
        """Once per pass, for all parts; rests first, but not before the dataflow is through with what it has."""
        if self._buffered >= _BUFFERED_MOST:
            self._sleep(_NOT_YET_S)
            return
        now_ms, busy = self._clock.steady_ms(), self._busy()
        if 0 < self._polled < _MANY:
            if not self._through:
                self._through = True
                return
            apart_ms = min(max(self._enough_ms, _SHARE * (now_ms - self._polled_ms)), self._linger_ms)
            rest_s = max(0, self._polled_ms + apart_ms - now_ms) / 1000
            self._sleep(min(rest_s, _LULL_S) if busy else rest_s)
            if busy and rest_s > 0:
                return
        wait_s = _LULL_S if busy else self._idle_s
        messages = self._open().poll(_BATCH, 0.0 if self._buffered or self._polled >= _MANY else wait_s)
        now_ms = self._clock.steady_ms()
        self._enough_ms = _ENOUGH * (now_ms - self._polled_ms) / max(1, len(messages))
        self._polled, self._through, self._polled_ms = len(messages), False, now_ms
        for message in messages:
            self._buffers[message.topic, message.partition].append(message)
        self._buffered += len(messages)

    def _open(self) -> Consumer:
        if self._consumer is None:
            self._check_offsets()
            self._consumer = self._bus.consumer(FLOW_GROUP, [], "earliest", assign=self._begin)
        return self._consumer

    def _check_offsets(self) -> None:
        """Say at once what is wrong with offsets that Kafka does not have; control topics are read all the same."""
        kept = {k: v for topic in {topic for topic, _ in self._begin} for k, v in self._bus.bounds(topic).items()}
        for (topic, number), offset in self._begin.items():
            first, end = kept.get((topic, number), (0, 0))
            if offset is None or first <= offset <= end:
                continue
            if topic in CONTROL:
                self._begin[topic, number] = None
                continue
            what_to_do = (
                "what lies between is gone, replay it, and start the dataflow before the replay"
                if offset < first
                else "the state belongs to another Kafka, give another --state"
            )
            raise InputError(
                f"the dataflow would go on at offset {offset} of {topic}[{number}], but "
                f"{self._bus.name} has {first} to {end}: {what_to_do}"
            )

    def _mirror(self) -> None:
        if self._group is None:
            self._group = self._bus.group(FLOW_GROUP)
        self._group.mirror(self._done)
        self._mirrored = dict(self._done)


class KafkaInput(FixedPartitionedSource[Message | End, int | None]):
    """All `partitions` of some topics: their messages, and an `End` behind all that were there.

    Nothing is read before `ready()`; when `stopping()`, every part ends, the dataflow drains and takes its last
    snapshot: that is how a signal ends it cleanly. `begin` is called by the worker that reads, before anything else.
    """

    def __init__(
        self,
        reader: Reader,
        partitions: Iterable[Partition],
        ready: Callable[[], bool],
        stopping: Callable[[], bool],
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        self._reader = reader
        self._parts = {f"{topic}/{number}": (topic, number) for topic, number in partitions}
        self._ready = ready
        self._stopping = stopping
        self._begin = begin

    def epoch_ends(self) -> bool:
        """Whether the dataflow is saving what it did, and takes nothing in until it is through with that."""
        return self._reader.epoch_ends

    def list_parts(self) -> list[str]:
        """Every partition can be read by every worker; Bytewax shares them out evenly."""
        return list(self._parts)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "KafkaPart":  # noqa: ARG002
        """The part of one partition, from the offset of the last snapshot on."""
        self._begin()
        with self._reader.blame:
            if for_part not in self._parts:
                raise InputError(
                    f"the saved state has a position for {for_part}, which Kafka does not have: "
                    "the state belongs to another Kafka, give another --state folder"
                )
        self._reader.add(self._parts[for_part], resume_state)
        return KafkaPart(self._reader, self._parts[for_part], resume_state, self._ready, self._stopping)


class KafkaPart(StatefulSourcePartition[Message | End, int | None]):
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
        self._ended = False
        self._ready = ready
        self._stopping = stopping

    def next_batch(self) -> list[Message | End]:
        """Messages that are there now; ends when the dataflow shall stop."""
        self._reader.epoch_ends = False
        if self._snapshotted is not None:
            # Bytewax begins an epoch only when the whole dataflow is through with the one before.
            self._reader.done(self._partition, self._snapshotted)
            self._snapshotted = None
        with self._reader.blame:
            if self._stopping():
                raise StopIteration
            if not self._ready():
                self._reader.rest(self._partition)
                return []
            messages: list[Message | End] = [*self._reader.take(self._partition)]
            if (offset := self._reader.offset(self._partition)) is not None:
                self._offset = offset
            if not self._ended and self._reader.at_end(self._partition):
                self._ended = True
                messages.append(End(*self._partition))
        return messages

    def next_awake(self) -> datetime | None:
        """At once: it is `Reader` that rests, by a clock that nobody sets."""
        return AT_ONCE

    def snapshot(self) -> int | None:
        """The offset to resume at."""
        self._snapshotted, self._reader.epoch_ends = self._offset, True
        return self._offset
