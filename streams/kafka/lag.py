"""How far groups are behind, from committed offsets, the way ordinary lag tools see it."""

import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from streams.bus import Span
from streams.kafka.connection import OUTAGE_NOTE_EVERY_S, KafkaSettings, leave, partitions_of, patiently, reason
from wire.errors import ConnectionFailed

_TIMEOUT_S = 5
_PARTITIONS_EVERY_S = 15  # a topic may get more
_log = logging.getLogger("coda.kafka")


class GroupPositions:
    """What one group has committed, read and written from outside the group.

    Writing is for readers that keep their positions elsewhere (Bytewax): mirrored here, lag tools see them.
    Kafka refuses it while the group has members that subscribe.
    """

    def __init__(self, settings: KafkaSettings, group: str):
        self.group = group
        self._bootstrap = settings.bootstrap
        self._consumer = Consumer(
            {
                **settings.client("lag"),
                "group.id": group,
                "enable.auto.commit": False,
                "on_commit": self._committed,
            }
        )
        self._partitions: dict[str, tuple[float, list[TopicPartition]]] = {}
        self._said_s = float("-inf")

    def lag(self, topic: str) -> dict[int, int]:
        """Events in `topic` that the group has not committed, per partition; all that is kept if it never has.

        Raises `ConnectionFailed`, after 15 s at most for what Kafka does not answer.
        """
        return {partition: span.left for partition, span in self.spans(topic).items()}

    def spans(self, topic: str) -> dict[int, Span]:
        """What of `topic` the group has not committed, per partition: from the first that is kept if it never has.

        Raises `ConnectionFailed`, after 15 s at most for what Kafka does not answer.
        """
        try:
            committed = self._committed_in(topic)
            firsts, ends = self._offsets(topic, OFFSET_BEGINNING), self._offsets(topic, OFFSET_END)
        except KafkaException as error:
            raise self._unsaid(error) from error
        return {c.partition: Span(max(c.offset, firsts[c.partition]), ends[c.partition]) for c in committed}

    def begun(self, topic: str) -> bool:
        """Whether the group has ever committed a position in `topic`; raises `ConnectionFailed`."""
        try:
            return any(position.offset >= 0 for position in self._committed_in(topic))
        except KafkaException as error:
            raise self._unsaid(error) from error

    def mirror(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Commit the offset that comes next, per (topic, partition), without waiting; a failure is logged."""
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in positions.items()]
        if offsets:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        self._consumer.poll(0)

    def close(self) -> None:
        """Let the connection go."""
        leave(self._consumer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _committed_in(self, topic: str) -> list[TopicPartition]:
        return patiently(partial(self._consumer.committed, self._of(topic), timeout=_TIMEOUT_S))

    def _unsaid(self, error: KafkaException) -> ConnectionFailed:
        return ConnectionFailed(f"Kafka at {self._bootstrap} does not say how far {self.group} is: {reason(error)}")

    def _of(self, topic: str) -> list[TopicPartition]:
        asked_s, found = self._partitions.get(topic, (float("-inf"), []))
        if not found or time.monotonic() - asked_s > _PARTITIONS_EVERY_S:
            found = partitions_of(self._consumer, topic)
            self._partitions[topic] = time.monotonic(), found
        return found

    def _offsets(self, topic: str, at: int) -> dict[int, int]:
        """The first or the end of all partitions by one question: to Kafka both are moments, as good as any."""
        asked = [TopicPartition(topic, each.partition, at) for each in self._of(topic)]
        if not asked:  # of nothing it does not ask
            return {}
        found = patiently(partial(self._consumer.offsets_for_times, asked, timeout=_TIMEOUT_S))
        if failed := next((each.error for each in found if each.error), None):
            raise KafkaException(failed)
        return {each.partition: each.offset for each in found}

    def _committed(self, error: KafkaError | None, _partitions: list[TopicPartition]) -> None:
        if error is None or error.code() == KafkaError._NO_OFFSET:
            return
        if time.monotonic() - self._said_s >= OUTAGE_NOTE_EVERY_S:
            self._said_s = time.monotonic()
            _log.warning("positions of %s were not mirrored: %s", self.group, error.str())
