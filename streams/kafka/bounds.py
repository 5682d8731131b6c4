"""Where topics begin and end now: for readers that start at the end, or stop there."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Literal

from confluent_kafka import Consumer, KafkaException

from monitor.waiting import Waiting
from streams.bus import Message, Partition
from streams.kafka.connection import KafkaSettings, is_embedded, partitions_of, patiently, reason
from streams.kafka.consumer import BatchConsumer
from wire.clock import SystemClock
from wire.errors import ConnectionFailed

_TIMEOUT_S = 10


def bounds(
    settings: KafkaSettings, topic: str, isolation: Literal["read_committed", "read_uncommitted"] = "read_committed"
) -> dict[Partition, tuple[int, int]]:
    """Per partition the first offset that is kept and the end of what is committed; empty for no topic."""
    consumer = Consumer({**settings.client("bounds"), "group.id": "coda-bounds", "isolation.level": isolation})
    try:
        found: dict[Partition, tuple[int, int]] = {}
        for partition in partitions_of(consumer, topic):
            first, end = patiently(partial(consumer.get_watermark_offsets, partition, timeout=_TIMEOUT_S))
            found[topic, partition.partition] = (first, end)
    except KafkaException as error:
        if not partitions_of(consumer, topic):
            return {}  # deleted while it was asked about
        raise ConnectionFailed(
            f"Kafka at {settings.bootstrap} does not say where {topic} ends: {reason(error)}"
        ) from error
    finally:
        consumer.close()
    return found


def read_between(
    settings: KafkaSettings, group: str, between: Mapping[Partition, tuple[int, int]]
) -> Iterator[Message]:
    """The messages of each partition from its first offset up to, not including, its second.

    Waits for a Kafka that is away, or a partition without a leader, and says so.
    """
    wanted = {partition: first for partition, (first, end) in between.items() if first < end}
    if not wanted:
        return
    waiting = Waiting(SystemClock().steady_ms)
    with BatchConsumer(settings, group, [], assign=wanted) as consumer:
        while left := {p: at for p, at in consumer.positions().items() if at < between[p][1]}:
            messages = consumer.poll()
            for message in messages:
                if message.offset < between[message.topic, message.partition][1]:
                    yield message
            if messages:
                waiting.over()
            (topic, number), at = next(iter(left.items()))
            waiting.go_on(f"Kafka at {settings.bootstrap} to give {topic}[{number}] from offset {max(at, 0)} on")


def offsets_at(settings: KafkaSettings, topic: str, moment_ms: int) -> dict[Partition, int]:
    """Per partition the offset of the first message produced at `moment_ms` (wall clock) or later; the end if none was.

    Empty for no topic. Raises `ConnectionFailed`, also on the embedded broker, which cannot tell.
    """
    if is_embedded(settings.bootstrap, settings.properties):
        raise ConnectionFailed(f"the embedded Kafka cannot look up times in {topic}: leave out --from and --until")
    consumer = Consumer({**settings.client("bounds"), "group.id": "coda-bounds"})
    try:
        asked = partitions_of(consumer, topic)
        for partition in asked:
            partition.offset = moment_ms
        answers = patiently(partial(consumer.offsets_for_times, asked, timeout=_TIMEOUT_S))
        ends = {
            p.partition: patiently(partial(consumer.get_watermark_offsets, p, timeout=_TIMEOUT_S))[1] for p in asked
        }
    except KafkaException as error:
        if not partitions_of(consumer, topic):
            return {}  # deleted while it was asked about
        raise ConnectionFailed(
            f"Kafka at {settings.bootstrap} does not say what {topic} held at {moment_ms}: {reason(error)}"
        ) from error
    finally:
        consumer.close()
    return {
        (topic, answer.partition): answer.offset if answer.offset >= 0 else ends[answer.partition] for answer in answers
    }
