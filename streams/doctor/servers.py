"""Kafka and MQTT: whether they answer, how the topics are kept, how far their clock is from ours."""

import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from streams.doctor.finding import Finding, looked
from streams.kafka.admin import topic_config
from streams.kafka.bounds import bounds, read_between
from streams.kafka.connection import KafkaSettings, is_embedded, partitions_of, probe, reason
from streams.kafka.topics import STATUS, TOPICS
from streams.mqtt.connection import MqttSettings
from streams.mqtt.connection import probe as probe_mqtt
from wire.errors import ConnectionFailed

_TIMEOUT_S = 10
_BEATS_S = 3.0  # within which whoever lives has said something
_APART_MS = 3000  # clocks further apart make fresh data look old: the demo's targets are seconds


def kafka(settings: KafkaSettings, now_ms: int) -> list[Finding]:
    """How Kafka is, at our time `now_ms`."""
    found = looked("Kafka", lambda: [_reached(settings)])
    if found[0].word == "fail" or is_embedded(settings.bootstrap, settings.properties):
        return found
    found += looked("topics", lambda: _topics(settings))
    return found + looked("clock", lambda: [_clock(settings, now_ms)])


def mqtt(settings: MqttSettings) -> list[Finding]:
    """Whether the MQTT broker lets us in and allows what we need."""

    def look() -> list[Finding]:
        probe_mqtt(settings)
        return [Finding("MQTT", "ok", f"{settings.address} speaks MQTT 5 and allows what is needed")]

    return looked("MQTT", look)


def _reached(settings: KafkaSettings) -> Finding:
    cluster = probe(settings.bootstrap, properties=settings.properties)
    return Finding("Kafka", "ok", f"{settings.bootstrap} answers, cluster {cluster}")


def _topics(settings: KafkaSettings) -> list[Finding]:
    admin = AdminClient(settings.client("doctor"))
    partitions = {topic: len(partitions_of(admin, topic)) for topic in TOPICS}
    missing = [topic for topic, number in partitions.items() if not number]
    there = [topic for topic in TOPICS if topic not in missing]
    found = []
    if missing:
        remedy = "the first command that needs one makes it; `coda replay --partitions --replication` decides how"
        found.append(Finding("topics", "warn", f"missing: {', '.join(missing)}", remedy))
    odd = [line for topic in there for line in _odd(settings, topic, _config(admin, settings, topic))]
    found += [Finding("topics", "warn", line, "set it so with kafka-configs, unless it is meant") for line in odd]
    if there and not odd:
        told = ", ".join(f"{topic} {partitions[topic]}" for topic in there)
        found.append(Finding("topics", "ok", f"kept as they should be; partitions: {told}"))
    return found


def _config(admin: AdminClient, settings: KafkaSettings, topic: str) -> dict[str, str]:
    ((_, asked),) = admin.describe_configs(
        [ConfigResource(ResourceType.TOPIC, topic)], request_timeout=_TIMEOUT_S
    ).items()
    try:
        return {name: str(entry.value) for name, entry in asked.result(_TIMEOUT_S).items()}
    except KafkaException as error:
        raise ConnectionFailed(
            f"Kafka at {settings.bootstrap} does not say how {topic} is kept: {reason(error)}"
        ) from error


def _odd(settings: KafkaSettings, topic: str, config: dict[str, str]) -> list[str]:
    wanted = topic_config(settings, topic)
    return [
        f"{topic} has {name}={config.get(name)}, where this version makes it with {value}"
        for name, value in wanted.items()
        if set(str(config.get(name)).split(",")) != set(value.split(","))
    ]


def _clock(settings: KafkaSettings, now_ms: int) -> Finding:
    """By the newest status, which Kafka stamped: a process that lives writes one each second."""
    newest_ms = _newest_ms(settings)
    if newest_ms and now_ms - newest_ms > _APART_MS:  # nobody lives, or our clock is as far ahead
        time.sleep(_BEATS_S)
        before_ms, newest_ms = newest_ms, _newest_ms(settings)
        newest_ms, now_ms = newest_ms if newest_ms > before_ms else 0, now_ms + round(1000 * _BEATS_S)
    if not newest_ms:
        return Finding("clock", "ok", "not compared with Kafka's: no process of ours runs that it stamps messages of")
    age_ms = now_ms - newest_ms
    told = f"at most {abs(age_ms) / 1000:.1f} s from Kafka's"
    if abs(age_ms) <= _APART_MS:
        return Finding("clock", "ok", told)
    return Finding("clock", "warn", told, "set the clocks, such as with NTP: freshness is told by them")


def _newest_ms(settings: KafkaSettings) -> int:
    """When Kafka had the newest status; 0 where it has none."""
    ends = {p: (max(first, end - 1), end) for p, (first, end) in bounds(settings, STATUS).items()}
    return max((m.timestamp_ms for m in read_between(settings, "coda-doctor", ends)), default=0)
