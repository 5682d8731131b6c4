"""How to reach Kafka, and a first word with it that fails fast instead of hanging."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from models.vocabulary import MODEL_BYTES
from streams.kafka.properties import Properties
from wire.errors import ConnectionFailed, InputError
from wire.lookup import look_up, unanswered

DEFAULT_BOOTSTRAP = "127.0.0.1:9092"
_DAY_MS = 24 * 3600 * 1000
# librdkafka names its in-memory broker's cluster like this (read from the broker, librdkafka 2.16).
_EMBEDDED_CLUSTER = "mockCluster"
OUTAGE_NOTE_EVERY_S = 30.0
# How soon clients see that a topic has more partitions; librdkafka's default is 5 minutes.
_METADATA_EVERY_MS = 15_000
_NOT_YET = frozenset(
    {
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
    }
)
_FIRST_SHARE = 0.7  # of a probe's time for the first answer; the rest is for the advertised addresses
_LEAVE_S = 1.0  # for a probe's client to close: more of it would make the probe late
_HUNG_UP = ("Broken pipe", "Connection reset by peer")  # or nothing is said of it at all
_NOT_YET_S = 0.2  # between two tries; a leader moves within a second
Answer = TypeVar("Answer")

_log = logging.getLogger("coda.kafka")


@dataclass(frozen=True)
class KafkaSettings:
    """Where Kafka is and how our topics are kept there; sizes in bytes, times in ms.

    `partitions` is 4 because the embedded broker creates topics with exactly 4. Retention is wall-clock time since
    an event was produced, not event time: a replay at 100 × the log's pace fills it 100 × as fast.
    """

    bootstrap: str = DEFAULT_BOOTSTRAP
    partitions: int = 4
    replication: int = 1
    retention_ms: int = 7 * _DAY_MS
    sample_retention_ms: int = 7 * _DAY_MS  # at least the pool's window in wall-clock time, or it can't be rebuilt
    model_bytes: int = MODEL_BYTES  # Kafka's own limit of 1 MB leaves room for 14,000 items only
    delivery_timeout_s: float = 0  # then a producer gives up on a message; 0: never, a broker comes back
    properties: Properties = ()  # of librdkafka: TLS and SASL (`streams.kafka.properties`)

    def client(self, role: str) -> dict[str, Any]:
        """What every librdkafka client of ours is configured with; `role` names it in the broker's log."""
        return {
            **dict(self.properties),
            "bootstrap.servers": self.bootstrap,
            "client.id": f"coda-{role}",
            "log_level": 2,  # outages are told once, by `_Outages`, and not once per connection attempt
            "error_cb": _Outages(self.bootstrap),
            "socket.keepalive.enable": True,
            "socket.timeout.ms": round(OUTAGE_NOTE_EVERY_S * 1000),  # a frozen broker is an outage after this
            "reconnect.backoff.max.ms": 1000,
            "topic.metadata.refresh.interval.ms": _METADATA_EVERY_MS,
        }


class _Outages:
    """Says that Kafka is away once in a while, for all clients of a process; librdkafka itself keeps trying."""

    _noted_s: ClassVar[dict[str, float]] = {}

    def __init__(self, bootstrap: str):
        self._bootstrap = bootstrap

    def __call__(self, error: KafkaError) -> None:
        now_s, noted_s = time.monotonic(), self._noted_s.get(self._bootstrap, float("-inf"))
        if error.code() == KafkaError._ALL_BROKERS_DOWN and now_s - noted_s > OUTAGE_NOTE_EVERY_S:
            self._noted_s[self._bootstrap] = now_s
            _log.warning("Kafka at %s does not answer; retrying until it does", self._bootstrap)
        elif error.fatal():
            _log.error("Kafka at %s: %s", self._bootstrap, error.str())


def probe(bootstrap: str, timeout_s: float = 5, properties: Properties = ()) -> str:
    """The cluster's id; raises `ConnectionFailed` when no Kafka that can be used is at `bootstrap`, after `timeout_s`.

    Clients go on with the addresses that brokers advertise, so that these must answer, too.
    Raises `InputError` when `bootstrap` is empty.
    """
    if not bootstrap.strip():
        raise InputError("--bootstrap is empty: give Kafka's address as HOST:PORT")
    deadline_s = time.monotonic() + timeout_s
    try:
        cluster, advertised = _ask(KafkaSettings(bootstrap, properties=properties), timeout_s * _FIRST_SHARE)
        if advertised != bootstrap:
            there = KafkaSettings(advertised, properties=properties)
            _ask(there, deadline_s - time.monotonic(), advertised=True)
    except _Silence as silence:
        if silence.advertised:
            raise ConnectionFailed(
                f"Kafka answers at {bootstrap} and says that it is at {silence.address}, but that can't be used from "
                f"here ({silence.why}): set its advertised.listeners to addresses that this machine can reach"
            ) from silence
        raise ConnectionFailed(
            f"no Kafka answers at {bootstrap} within {timeout_s:g} s ({silence.why}): "
            "start it (scripts/kafka up, or docker compose up kafka) or give --bootstrap HOST:PORT"
            + (", and a --kafka-config that fits" if properties else "")
        ) from silence
    return cluster


class _Silence(Exception):
    """Nobody answered at `address`, which Kafka itself gave if it was `advertised`."""

    def __init__(self, address: str, why: str, *, advertised: bool) -> None:
        super().__init__(why)
        self.address, self.why, self.advertised = address, why, advertised


def _ask(settings: KafkaSettings, timeout_s: float, *, advertised: bool = False) -> tuple[str, str]:
    """The id of the cluster there and the addresses it advertises; raises `_Silence`."""
    addresses = settings.bootstrap
    hosts = [_host(address) for address in addresses.split(",")]
    if not wait(map(look_up, hosts), timeout_s, FIRST_COMPLETED).done:  # librdkafka would wait for the resolver
        raise _Silence(addresses, unanswered(hosts[0], timeout_s), advertised=advertised)
    heard: list[KafkaError] = []
    # Heard and not logged: what the probe raises says it all, and it does not go on trying.
    client = Consumer({**settings.client("probe"), "error_cb": heard.append, "group.id": "coda-probe"})
    try:
        found = client.list_topics(timeout=max(timeout_s, 0.5))
        return str(found.cluster_id), ",".join(f"{b.host}:{b.port}" for b in found.brokers.values())
    except KafkaException as error:
        client.poll(0)  # brings what there is to hear
        told = next((each for each in heard if each.code() != KafkaError._ALL_BROKERS_DOWN), None)
        address, _, why = told.str().partition(": ") if told else ("", "", reason(error))
        if told and told.code() == KafkaError._BAD_MSG:
            why = "what answers there speaks another protocol, HTTP or TLS perhaps: TLS is a matter of --kafka-config"
        elif heard and (told is None or told.str().partition(" (after")[0].endswith(_HUNG_UP)):
            why = "what answers there hangs up on us, a listener for TLS or SASL perhaps: say so in --kafka-config"
        advertised = advertised or (bool(address) and not address.endswith("/bootstrap"))
        raise _Silence(
            address.rpartition("/")[0] or addresses, why.partition(" (after")[0], advertised=advertised
        ) from error
    finally:
        leave(client, _LEAVE_S)


def _host(address: str) -> str:
    """The host of `PROTOCOL://HOST:PORT`, where there is such a protocol and port.

    >>> _host("PLAINTEXT://kafka:9092"), _host("[::1]:9092"), _host("kafka")
    ('kafka', '::1', 'kafka')
    """
    host, _, _port = address.strip().rpartition("://")[2].rpartition(":")
    return host.strip("[]") or address


@lru_cache(maxsize=64)
def is_embedded(bootstrap: str, properties: Properties = ()) -> bool:
    """Whether the broker at `bootstrap` is librdkafka's in-memory one; raises `ConnectionFailed` as `probe` does."""
    return probe(bootstrap, properties=properties).startswith(_EMBEDDED_CLUSTER)


def fetch_settings(kafka: KafkaSettings, within_ms: int) -> dict[str, Any]:
    """The consumer settings that keep latency low on this kind of broker.

    The in-memory broker answers an empty fetch only when its time is over, even if data arrives meanwhile: at
    librdkafka's default of 500 ms that is how late a message would be, at 10 ms each idle reader asks a hundred times a
    second.
    """
    # When a partition's queue is full, librdkafka looks again only after this time; its default of 1 s is felt.
    settings: dict[str, Any] = {"fetch.queue.backoff.ms": 50}
    if is_embedded(kafka.bootstrap, kafka.properties):
        settings["fetch.wait.max.ms"] = within_ms
    return settings


def patiently(ask: Callable[[], Answer], timeout_s: float = 10) -> Answer:
    """What `ask` says, asked again while Kafka answers "not yet": a topic was just made, or a leader just moved.

    Raises the last `KafkaException` after `timeout_s`, and any other one at once.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _NOT_YET or time.monotonic() > deadline:
                raise
        time.sleep(_NOT_YET_S)


def partitions_of(client: Any, topic: str, timeout_s: float = 5) -> list[TopicPartition]:
    """The partitions of a topic as `client` sees them, empty when there is no such topic.

    Raises `ConnectionFailed`, also when Kafka does not let us see the topic.
    """
    try:
        found = client.list_topics(topic, timeout=timeout_s).topics[topic]
    except KafkaException as error:
        raise ConnectionFailed(f"Kafka does not say which partitions {topic} has: {reason(error)}") from error
    if found.error and found.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        raise ConnectionFailed(
            f"Kafka does not let us see the topic {topic}: allow it there (ACL: Describe, Read, Write)"
        )
    return [] if found.error else [TopicPartition(topic, number) for number in sorted(found.partitions)]


def leave(client: Consumer, timeout_s: float = 5) -> None:
    """Close `client`; one whose broker is away is left behind after `timeout_s`, since closing waits for an answer."""
    closing = threading.Thread(target=client.close, daemon=True)
    closing.start()
    closing.join(timeout_s)


def reason(error: KafkaException) -> str:
    """librdkafka's own words for what went wrong."""
    return str(error.args[0].str() or error.args[0].name())
