"""What becomes of topics while they are read: partitions that are added, topics that are deleted and made anew."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from streams.bus import Partition
from streams.kafka.connection import KafkaSettings, is_embedded
from streams.kafka.topics import CONTROL
from wire.errors import DeliveryError

LOOK_EVERY_S = 15.0  # new partitions are read within a minute: this, and as long for a restart
_TIMEOUT_S = 10

_log = structlog.get_logger()


class TopicWatch:
    """Asks Kafka every `every_s` about the topics of `known` partitions, and never waits for the answer.

    The embedded broker can't be asked, and nothing there ever changes.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        known: Iterable[Partition],
        *,
        every_s: float = LOOK_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._known = set(known)
        self._topics = (
            [] if is_embedded(settings.bootstrap, settings.properties) else sorted({topic for topic, _ in self._known})
        )
        self._ids: dict[str, str] = {}
        self._every_s, self._clock = every_s, clock
        self._asked_s = clock() - every_s
        self._admin: AdminClient | None = None
        self._answers: dict[str, Future[Any]] = {}

    def added(self) -> list[Partition]:
        """Partitions that were not known before, each told once; those of a control topic made anew are told again.

        Raises `DeliveryError` for another topic made anew.
        """
        if not self._topics:
            return []
        if not self._answers:
            self._ask()
            return []
        if not all(answer.done() for answer in self._answers.values()):
            return []
        answers, self._answers = self._answers, {}
        found = {partition for topic, answer in answers.items() for partition in self._read(topic, answer)}
        added = sorted(found - self._known)
        self._known |= found
        return added

    def _ask(self) -> None:
        if self._clock() - self._asked_s >= self._every_s:
            self._asked_s = self._clock()
            self._admin = self._admin or AdminClient(self._settings.client("watch"))
            self._answers = self._admin.describe_topics(TopicCollection(self._topics), request_timeout=_TIMEOUT_S)

    def _read(self, topic: str, answer: Future[Any]) -> list[Partition]:
        try:
            described = answer.result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                _log.warning(f"Kafka at {self._settings.bootstrap} has no topic {topic} any more: make it again")
            return []  # a broker that is away is told of elsewhere
        now = str(described.topic_id)
        if self._ids.setdefault(topic, now) != now:
            self._ids[topic] = now
            self._known -= {partition for partition in self._known if partition[0] == topic}
            if topic not in CONTROL:
                raise DeliveryError(
                    f"the topic {topic} was deleted and made again while it was read: start again, and what the state "
                    "knows of the old one will be told"
                )
        return [(topic, partition.id) for partition in described.partitions]
