"""Which Kafka something belongs to: the cluster's id, and the ids of topics, since a name may be given twice."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from streams.kafka.connection import KafkaSettings, is_embedded, patiently, probe, reason
from wire.durable import make_folder, write_durably
from wire.errors import ConnectionFailed, InputError

FILE = "kafka.json"
_TIMEOUT_S = 10


class Home(msgspec.Struct, frozen=True):
    """One Kafka and some of its topics, by id; the embedded one has an id of each start, and none of topics."""

    cluster: str
    topics: dict[str, str]

    def difference(self, other: "Home") -> str:
        """In what `other` is not this, in words; "" when it is the same."""
        if self.cluster != other.cluster:
            return f"another Kafka (cluster {self.cluster}, not {other.cluster})"
        renewed = [t for t, name in self.topics.items() if other.topics.get(t, name) != name]
        return f"a topic {renewed[0]} that was deleted; the one of today was made later" if renewed else ""


def home_of(settings: KafkaSettings, topics: Sequence[str]) -> Home:
    """Where `topics` live; raises `ConnectionFailed`."""
    cluster = probe(settings.bootstrap)
    if is_embedded(settings.bootstrap):
        return Home(f"{cluster} at {settings.bootstrap}", {})  # its id alone, an address in memory, may come again
    return Home(cluster, topic_ids(settings, topics))


def topic_ids(settings: KafkaSettings, topics: Sequence[str]) -> dict[str, str]:
    """The id of each topic; raises `ConnectionFailed`."""
    admin = AdminClient(settings.client("home"))

    def ask() -> dict[str, str]:
        answers = admin.describe_topics(TopicCollection(list(topics)), request_timeout=_TIMEOUT_S)
        return {topic: str(answer.result().topic_id) for topic, answer in answers.items()}

    try:
        return patiently(ask)
    except KafkaException as error:
        raise ConnectionFailed(
            f"Kafka at {settings.bootstrap} does not say which topics it has: {reason(error)}"
        ) from error


def settle(folder: Path, home: Home, remedy: str) -> None:
    """Note in `folder` that what it holds comes from `home`; raises `InputError` when it comes from elsewhere.

    Also raises `StorageError`.
    """
    file = folder / FILE
    try:
        known = msgspec.json.decode(file.read_bytes(), type=Home)
    except FileNotFoundError:
        known = home
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} does not say which Kafka {folder} belongs to ({error}): {remedy}") from error
    if difference := known.difference(home):
        raise InputError(f"{folder} belongs to {difference}: {remedy}")
    make_folder(folder)
    write_durably(file, msgspec.json.encode(Home(home.cluster, {**known.topics, **home.topics})))
