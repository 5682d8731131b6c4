"""A consumer that reads all its partitions in batches and never skips data silently.

Only what was committed is read. Offsets have gaps then: commit and abort markers take some, aborted messages and
compaction leave others. Data that the broker dropped is no gap but an error, since Kafka refuses an offset that it
no longer has, and the reset policy of this consumer is to say so.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any, Self

import structlog
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as RawMessage

from streams.bus import BY_THE_WAY_MS, SOON_MS, Message, Partition, Positions, Start
from streams.kafka.connection import KafkaSettings, fetch_settings, is_embedded, leave, partitions_of, reason
from streams.kafka.resting import Resting
from streams.kafka.topic_watch import TopicWatch
from streams.kafka.topics import CONTROL
from wire.errors import ConnectionFailed, DeliveryError

_TIMEOUT_S = 10
# A member that died by kill -9 blocks its partitions for this long; Kafka's default of 45 s is long for a restart.
_SESSION_TIMEOUT_MS = 10_000
# The group moved on while we were committing: whoever has the partition now reads from the older position.
_REBALANCING = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError._ASSIGNMENT_LOST,
    }
)
_UNFINISHED_S = 30  # a transaction that holds data back longer is told of, again each time

_log = structlog.get_logger()


class BatchConsumer:
    """One consumer over all its topics, as a member of `group` or over the partitions in `assign`.

    `start` says where a partition without an entry in `assign` begins: "committed" is where the group stopped (the
    beginning if it never committed), "earliest" the beginning, "latest" the end. `assign` maps (topic, partition) to
    the offset to begin at, or to None for `start`; without it the group shares the partitions out, and `on_assign`
    gets their first offsets (negative: the beginning or end), `on_revoke` the partitions that are about to go:
    commit there what is done. Nothing is committed on its own. With `assign`, the partitions that `topics` get later
    are read from their beginning, too, and so is a control topic that was made anew. `within_ms` is how late the
    embedded broker may tell of a message that came when it had none (`fetch_settings`).

    >>> from streams.kafka.embedded import EmbeddedKafka
    >>> from streams.kafka.producer import CheckedProducer
    >>> with EmbeddedKafka() as kafka:
    ...     settings = KafkaSettings(kafka.bootstrap)
    ...     producer = CheckedProducer(settings)
    ...     producer.send("events", "ann", b"hello", partition=0)
    ...     producer.flush()
    ...     with BatchConsumer(settings, "readers", [], assign={("events", 0): None}) as consumer:
    ...         [message.value for message in consumer.poll(100, timeout_s=5)]
    [b'hello']
    """

    def __init__(
        self,
        settings: KafkaSettings,
        group: str,
        topics: Sequence[str],
        start: Start = "committed",
        *,
        assign: Mapping[Partition, int | None] | None = None,
        on_assign: Callable[[Positions], None] | None = None,
        on_revoke: Callable[[list[Partition]], None] | None = None,
        within_ms: int = SOON_MS,
    ):
        self._bootstrap = settings.bootstrap
        self._embedded = is_embedded(settings.bootstrap, settings.properties)
        self._group = group
        self._start = start
        self._hooks = (on_assign, on_revoke)
        self._positions: Positions = {}
        self._watch = TopicWatch(settings, assign or {} if topics else {})
        self._ended: set[Partition] = set()
        self._held_back: Positions = {}
        self._looked_s = time.monotonic()
        client = {
            **settings.client("consumer"),
            **fetch_settings(settings, within_ms),
            "group.id": group,
            # The default would jump over data that is gone, without a word.
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,  # the only word on where a partition ends, if with markers
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "session.timeout.ms": _SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": _SESSION_TIMEOUT_MS // 5,
        }
        self._consumer = Consumer(client)
        self._held: set[Partition] = set()  # by `pause`
        self._leaving = False
        self._resting = Resting(self._consumer, client) if self._embedded and within_ms < BY_THE_WAY_MS else None
        if assign is None:
            _require(self._consumer, topics, settings.bootstrap)
            self._consumer.subscribe(
                list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
            )
        else:
            self._begin([TopicPartition(topic, number) for topic, number in assign], assign)

    def poll(self, max_messages: int = 1000, timeout_s: float = 0.1) -> list[Message]:
        """Up to `max_messages`, at once when any are there, else after at most `timeout_s`; b"" for no key or value.

        Raises `DeliveryError` when offsets are missing (the broker dropped what was not yet read).
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            # consume() would wait for a full batch: take what is there, and wait only for the first message.
            raw = self._consumer.consume(max_messages, 0)
            if not raw and (left_s := deadline_s - time.monotonic()) > 0:
                left_s = ceil(1000 * left_s) / 1000  # whole ms: of less librdkafka would wait for nothing
                if self._rests(left_s):
                    continue
                first = self._consumer.poll(left_s)
                raw = [] if first is None else [first, *self._consumer.consume(max_messages - 1, 0)]
            messages = [message for message in map(self._checked, raw) if message is not None]
            if raw and self._resting is not None:
                self._resting.came(time.monotonic(), messages=bool(messages))
            if messages or time.monotonic() >= deadline_s:
                self._look_around(idle=not messages)
                return messages

    def positions(self) -> Positions:
        """The offset that comes next, markers passed over, per partition; negative before anything is known."""
        return dict(self._positions)

    def position(self, partition: Partition) -> int:
        """`positions` of one partition."""
        return self._positions[partition]

    def at_end(self, partition: Partition) -> bool:
        """Whether all that the partition had has been read: once it has, for as long as the partition is read."""
        return partition in self._ended

    def commit(self, positions: Positions | None = None) -> bool:
        """Commit these offsets (default: `positions()`); False when a rebalance came first and nothing was committed.

        Raises `DeliveryError` when the broker refuses or is away.
        """
        wanted = self._positions if positions is None else positions
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in wanted.items() if offset >= 0]
        if not offsets:
            return True
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() in _REBALANCING:
                return False
            raise DeliveryError(
                f"Kafka at {self._bootstrap} does not take the positions of {self._group}: {reason(error)}"
            ) from error
        return True

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Stop fetching from these partitions until `resume`, and stay in the group meanwhile."""
        self._awake()
        self._held.update(partitions)
        self._consumer.pause([TopicPartition(*partition) for partition in partitions])

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Fetch from these partitions again."""
        self._awake()
        self._held.difference_update(partitions)
        self._consumer.resume([TopicPartition(*partition) for partition in partitions])

    def close(self) -> None:
        """Leave the group; commits nothing, and calls no hook: it would in a thread that is not the owner's."""
        self._leaving = True
        if self._resting is not None:
            self._resting.close()
        leave(self._consumer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _rests(self, left_s: float) -> bool:
        """Whether nothing came for so long, on a bus that can't wake us, that `left_s` were waited otherwise."""
        if self._resting is None:
            return False
        read = {partition: offset for partition, offset in self._positions.items() if partition not in self._held}
        return self._resting.wait(read, time.monotonic(), left_s)

    def _awake(self) -> None:
        if self._resting is not None:
            self._resting.wake()

    def _assigned(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if self._leaving:  # the group's answer came first; the broker is not asked any more
            return
        self._begin(partitions, {})
        if self._hooks[0] is not None:
            self._hooks[0]({(p.topic, p.partition): self._positions[p.topic, p.partition] for p in partitions})

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if self._leaving:
            return
        gone = [(p.topic, p.partition) for p in partitions]
        self._awake()
        if self._hooks[1] is not None:
            self._hooks[1](gone)
        for partition in gone:
            self._positions.pop(partition, None)
        self._ended.difference_update(gone)

    def _begin(self, partitions: list[TopicPartition], offsets: Mapping[Partition, int | None]) -> None:
        """Assign with explicit offsets, so that the reset policy only ever speaks of lost data."""
        open_ones = [p for p in partitions if offsets.get((p.topic, p.partition)) is None]
        begun = {(p.topic, p.partition): offset for p, offset in self._resolve(open_ones)}
        for partition in partitions:
            name = (partition.topic, partition.partition)
            offset = offsets.get(name)
            partition.offset = begun[name] if offset is None else offset
            self._positions[name] = partition.offset
        self._consumer.assign(partitions)

    def _resolve(self, partitions: list[TopicPartition]) -> list[tuple[TopicPartition, int]]:
        if self._start != "committed":
            at = OFFSET_BEGINNING if self._start == "earliest" else OFFSET_END
            return [(p, at) for p in partitions]
        if not partitions:
            return []
        try:
            committed = self._consumer.committed(partitions, timeout=_TIMEOUT_S)
        except KafkaException as error:
            raise ConnectionFailed(
                f"Kafka at {self._bootstrap} does not say where {self._group} stopped: {reason(error)}"
            ) from error
        # The embedded broker drops the oldest soon: a group that wants everything must hear of it. Elsewhere what is
        # older than the retention is gone because somebody wanted it gone.
        beginning = 0 if self._embedded else OFFSET_BEGINNING
        return [(p, p.offset if p.offset >= 0 else beginning) for p in committed]

    def _checked(self, raw: RawMessage) -> Message | None:
        error = raw.error()
        if error is not None:
            self._on_error(raw, error)
            return None
        name = _partition_of(raw)
        offset = raw.offset()
        assert offset is not None, "a message without an error has an offset"
        self._positions[name] = offset + 1
        return Message(
            *name,
            offset,
            raw.key() or b"",
            raw.value() or b"",
            int(raw.timestamp()[1]),
            _headers(raw),
        )

    def _on_error(self, raw: RawMessage, error: KafkaError) -> None:
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            if (name := _partition_of(raw)) in self._positions and (offset := raw.offset()) is not None:
                self._positions[name] = offset
                self._ended.add(name)
        elif code == KafkaError._AUTO_OFFSET_RESET:
            self._on_gone(_partition_of(raw))
        elif code in _DENIED:
            raise DeliveryError(
                f"Kafka at {self._bootstrap} does not let {self._group} read: {error.str()}; "
                "allow it there (ACL: Read on the topic and on the group)"
            )
        elif (error.fatal() or not error.retriable()) and code != KafkaError.UNKNOWN_TOPIC_OR_PART:
            # A broker that restarts forgets for a moment which topics it has; librdkafka asks again.
            raise DeliveryError(f"Kafka at {self._bootstrap} stops {self._group}: {error.str()}")

    def _on_gone(self, name: Partition) -> None:
        """The offset that comes next is not there any more."""
        gone = (
            f"{name[0]}[{name[1]}] no longer has offset {self._positions.get(name, '?')}, "
            f"where {self._group} wants to read on: dropped, or the topic was made anew"
        )
        if name[0] not in CONTROL:
            raise DeliveryError(f"{gone}; {_WHAT_TO_DO}")
        _log.warning(f"{gone}; reading what it has")
        self._begin_anew([name])

    def _begin_anew(self, partitions: Sequence[Partition]) -> None:
        """Read these from their beginning, whether they were read before or not."""
        if known := [TopicPartition(*name) for name in partitions if name in self._positions]:
            self._consumer.incremental_unassign(known)
        self._positions |= dict.fromkeys(partitions, OFFSET_BEGINNING)
        self._ended.difference_update(partitions)
        self._consumer.incremental_assign([TopicPartition(*name, OFFSET_BEGINNING) for name in partitions])

    def _look_around(self, *, idle: bool) -> None:
        if added := self._watch.added():
            places = ", ".join(f"{topic}[{number}]" for topic, number in added)
            _log.info(f"{places} new: read from the beginning by {self._group}")
            self._begin_anew(added)
        if idle and time.monotonic() - self._looked_s >= _UNFINISHED_S:
            self._looked_s = time.monotonic()
            self._say_held_back()

    def _say_held_back(self) -> None:
        """Kafka gives nothing behind a transaction that its producer does not finish, and does not say so."""
        held_back = {}
        for name, offset in self._positions.items():
            end = self._consumer.get_watermark_offsets(TopicPartition(*name), cached=True)[1]
            if 0 <= offset < end:
                held_back[name] = offset
                if self._held_back.get(name) == offset:
                    _log.warning(
                        f"{name[0]}[{name[1]}]: {end - offset} messages from offset {offset} on wait for a transaction "
                        "that is not finished; end it, or find it with kafka-transactions.sh find-hanging"
                    )
        self._held_back = held_back


_NO_HEADERS: Mapping[str, bytes] = {}
_DENIED = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED})
_WHAT_TO_DO = "keep messages longer or throttle the replay, then replay what is missing"


def _headers(raw: RawMessage) -> Mapping[str, bytes]:
    """By name, the last one where a name comes twice; b"" for no value, and none at all if a name is not UTF-8."""
    try:
        headers: Any = raw.headers()
    except UnicodeDecodeError:
        return _NO_HEADERS
    return {name: value or b"" for name, value in headers} if headers else _NO_HEADERS


def _partition_of(raw: RawMessage) -> Partition:
    topic, number = raw.topic(), raw.partition()
    assert topic is not None and number is not None, "messages and errors of a partition name it"
    return topic, number


def _require(consumer: Consumer, topics: Sequence[str], bootstrap: str) -> None:
    """A group over a topic that does not exist would wait for minutes, without a word."""
    for topic in topics:
        if not partitions_of(consumer, topic):
            raise ConnectionFailed(f"Kafka at {bootstrap} has no topic {topic}: replay a log to it first, or create it")
