"""Kafka for the tests of this room: the embedded one, and a real one where there is Java and mvn."""

import os
import shutil
from collections.abc import Iterator

import pytest

from streams.kafka.admin import ensure_topics
from streams.kafka.connection import KafkaSettings, probe
from streams.kafka.embedded import EmbeddedKafka
from tests.integration.stack import free_port
from tests.streams.kafka.server import kafka_script


@pytest.fixture
def kafka() -> Iterator[KafkaSettings]:
    """An embedded Kafka of this test's own, with our topics."""
    with EmbeddedKafka() as broker:
        settings = KafkaSettings(broker.bootstrap)
        ensure_topics(settings)
        yield settings


@pytest.fixture(scope="session")
def real_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """An Apache Kafka: the one at CODA_TEST_BOOTSTRAP, or one that `scripts/kafka` starts for these tests."""
    given = os.environ.get("CODA_TEST_BOOTSTRAP")
    if given:
        probe(given)
        yield KafkaSettings(given)
        return
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"no real Kafka: {' and '.join(missing)} missing; or name one with CODA_TEST_BOOTSTRAP")
    port = free_port()
    where = ("--port", str(port), "--folder", str(tmp_path_factory.mktemp("kafka")), "--heap", "512m")
    kafka_script("up", *where)
    try:
        yield KafkaSettings(f"127.0.0.1:{port}")
    finally:
        kafka_script("down", *where[:4])


@pytest.fixture(autouse=True)
def quick_groups(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members of a group hear of each other with a heartbeat: here sooner, but for a broker that refuses less."""
    if request.node.get_closest_marker("servers") is None:
        monkeypatch.setattr("streams.kafka.consumer._SESSION_TIMEOUT_MS", 4_000)
