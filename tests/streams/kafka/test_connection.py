import time

import pytest

from streams.kafka.connection import KafkaSettings, is_embedded, probe
from tests.integration.stack import free_port
from wire.errors import ConnectionFailed


def test_a_broker_that_is_not_there_is_said_at_once_in_one_line() -> None:
    began = time.monotonic()
    with pytest.raises(ConnectionFailed) as failed:
        probe(f"127.0.0.1:{free_port()}", timeout_s=0.5)
    assert time.monotonic() - began < 3
    assert "\n" not in str(failed.value)
    assert "scripts/kafka up" in str(failed.value)


def test_the_embedded_broker_is_recognised(kafka: KafkaSettings) -> None:
    assert is_embedded(kafka.bootstrap)


@pytest.mark.servers
def test_a_real_broker_is_recognised(real_kafka: KafkaSettings) -> None:
    assert not is_embedded(real_kafka.bootstrap)
