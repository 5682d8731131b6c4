from collections.abc import Iterator

import pytest

from streams.flow.blame import Blame
from streams.flow.sink import KafkaOutput, KafkaWriter, Outgoing
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.producer import CheckedProducer
from tests.streams.flow.world import World
from wire.errors import DeliveryError


@pytest.fixture
def world() -> Iterator[World]:
    with EmbeddedKafka() as kafka:
        yield World(kafka.bootstrap)


def test_an_epoch_ends_with_everything_at_kafka(world: World) -> None:
    writer = KafkaOutput(world.bus, 0, Blame()).build_part("out", "0", None)
    writer.write_batch([Outgoing("samples", [b"a", b"b"], [b"1", b"2"]), Outgoing("samples", [b"a"], [b"3"])])
    writer.write_batch([Outgoing("events.dlq", [b""], [b"raw"], {"reason": b"why"})])
    writer.snapshot()
    assert sorted((m.key, m.value) for m in world.read("samples")) == [(b"a", b"1"), (b"a", b"3"), (b"b", b"2")]
    (letter,) = world.read("events.dlq")
    assert letter.value == b"raw" and letter.headers == {"reason": b"why"}
    writer.close()


def test_an_epoch_does_not_end_while_kafka_is_away() -> None:
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap, delivery_timeout_s=4)
        writer = KafkaWriter(CheckedProducer(settings), blame := Blame(), lambda _topic: None)
        writer.write_batch([Outgoing("samples", [b"a"], [b"1"])])
        writer.snapshot()
    writer.write_batch([Outgoing("samples", [b"a"], [b"2"])])
    with pytest.raises(DeliveryError, match=r"has not taken|did not take"):
        writer.snapshot()
    assert isinstance(blame.error, DeliveryError)
    writer.close()  # in the middle of Bytewax's unwinding: an exception from here would abort the process


def test_messages_stay_in_their_process() -> None:
    outputs = [KafkaOutput(KafkaBus(KafkaSettings()), number, Blame()) for number in range(12)]
    parts = sorted(part for output in outputs for part in output.list_parts())
    assert [parts[output.part_fn(output.part)] for output in outputs] == [output.part for output in outputs]
