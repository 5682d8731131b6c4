"""Kafka as the bus: Apache Kafka, or the embedded broker, behind one object that is made once per process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from streams.bus import SOON_MS, Message, Partition, Positions, Start, never
from streams.home import Home
from streams.kafka.bounds import bounds, offsets_at, read_between
from streams.kafka.connection import KafkaSettings, is_embedded
from streams.kafka.consumer import BatchConsumer
from streams.kafka.home import home_of
from streams.kafka.lag import GroupPositions
from streams.kafka.producer import CheckedProducer


class KafkaBus:
    """The `streams.bus.Bus` at `settings`.

    >>> from streams.kafka.embedded import EmbeddedKafka
    >>> with EmbeddedKafka() as kafka:
    ...     bus = KafkaBus(KafkaSettings(kafka.bootstrap))
    ...     bus.forgetful
    True
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings

    @property
    def name(self) -> str:
        """How a message to the user calls it."""
        return f"Kafka at {self.settings.bootstrap}"

    @cached_property
    def forgetful(self) -> bool:
        """Whether it is the embedded broker; raises `ConnectionFailed` when nobody answers."""
        return is_embedded(self.settings.bootstrap, self.settings.properties)

    def consumer(
        self,
        group: str,
        topics: Sequence[str] = (),
        start: Start = "committed",
        *,
        assign: Mapping[Partition, int | None] | None = None,
        on_assign: Callable[[Positions], None] | None = None,
        on_revoke: Callable[[list[Partition]], None] | None = None,
        within_ms: int = SOON_MS,
    ) -> BatchConsumer:
        """See `BatchConsumer`."""
        hooks: dict[str, Any] = {"on_assign": on_assign, "on_revoke": on_revoke}
        return BatchConsumer(self.settings, group, topics, start, assign=assign, within_ms=within_ms, **hooks)

    def producer(
        self, *, linger_ms: float = 5, give_up_s: float = 0, stopping: Callable[[], bool] = never
    ) -> CheckedProducer:
        """See `CheckedProducer`."""
        settings = replace(self.settings, delivery_timeout_s=give_up_s or self.settings.delivery_timeout_s)
        return CheckedProducer(settings, linger_ms, stopping=stopping)

    def group(self, name: str) -> GroupPositions:
        """See `GroupPositions`."""
        return GroupPositions(self.settings, name)

    def bounds(self, topic: str, *, uncommitted: bool = False) -> dict[Partition, tuple[int, int]]:
        """Per partition the first offset that is kept and the end of what is committed; empty for no topic."""
        return bounds(self.settings, topic, "read_uncommitted" if uncommitted else "read_committed")

    def offsets_at(self, topic: str, moment_ms: int) -> Positions:
        """See `streams.kafka.bounds.offsets_at`."""
        return offsets_at(self.settings, topic, moment_ms)

    def read(self, group: str, between: Mapping[Partition, tuple[int, int]]) -> Iterator[Message]:
        """See `read_between`."""
        return read_between(self.settings, group, between)

    def home(self, topics: Sequence[str]) -> Home:
        """Cluster and topics by id."""
        return home_of(self.settings, topics)
