import pytest

from streams.kafka.connection import probe
from streams.kafka.embedded import EmbeddedKafka
from wire.errors import ConnectionFailed


def test_it_listens_on_this_machine_only_and_ends_with_its_context() -> None:
    with EmbeddedKafka() as broker:
        host, _, _ = broker.bootstrap.rpartition(":")
        assert host == "127.0.0.1"
        assert probe(broker.bootstrap)
    with pytest.raises(ConnectionFailed):
        probe(broker.bootstrap, timeout_s=0.5)


def test_two_of_them_know_nothing_of_each_other() -> None:
    with EmbeddedKafka() as one, EmbeddedKafka() as two:
        assert one.bootstrap != two.bootstrap
