"""Apache Kafka as others use it: what strangers write, raise, delete and stop, and what our readers make of it."""

import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from models.artefact import model_from_bytes
from operators.decode import decode
from streams.bus import Message
from streams.home import settle
from streams.kafka.bounds import bounds, read_between
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.consumer import BatchConsumer
from streams.kafka.home import home_of
from streams.kafka.lag import GroupPositions
from streams.kafka.producer import CheckedProducer
from streams.kafka.topic_watch import TopicWatch
from streams.kafka.topics import TELEMETRY
from tests.integration.stack import Server, wait_until
from wire.batch import decode_batch
from wire.dead_letter import MOST_BYTES, DeadLetter
from wire.errors import DeliveryError, InputError
from wire.event import decode_event
from wire.malformed import Malformed
from wire.moments import WallMs
from wire.push_headers import PushHeaders
from wire.sample import decode_record
from wire.signing import open_model, open_task
from wire.task import Task
from wire.telemetry import decode_report


def _signed_model(raw: bytes) -> bytes:
    return open_model(raw, None)


def _signed_task(raw: bytes) -> Task:
    return open_task(raw, None)


READERS: tuple[Callable[[bytes], object], ...] = (
    *(decode_report, decode_record, decode_batch, decode_event),
    *(model_from_bytes, _signed_model, _signed_task),
)
pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server("kafka", tmp_path_factory.mktemp("servers"), "--heap", "512m")
    try:
        made.up()
        yield made
    finally:
        made.down()


POISON = (
    *(None, b"", b"{}", b"\xff\xfe", bytes(1_000_000)),
    *(b"[" * deep + b"]" * deep for deep in (1_500, 100_000)),
    *(b'{"format":"event/1","context":' + b'{"a":' * deep for deep in (1_500, 100_000)),
    *(b"\x91" * deep + b"\xc0" for deep in (1_500, 100_000)),
    *(b'{"format":"event/9"}', b'{"format":"event/1","label":NaN}', b'{"format":"event/1","timestamp":' + b"9" * 5_000),
    *(b"\x93\xa8sample/2\xcb\x7f\xf8" + bytes(6), b"\x92\xa8sample/9\x01", b"model/9\n" + bytes(99)),
)


class World:
    """One topic of this Kafka, and what strangers do to it."""

    def __init__(self, server: Server, topic: str) -> None:
        self.settings, self.topic = KafkaSettings(server.address), topic
        self.admin = AdminClient(self.settings.client("test"))
        self.make(2)

    def make(self, partitions: int, **config: str) -> None:
        config = {name.replace("_", "."): value for name, value in config.items()}
        for future in self.admin.create_topics([NewTopic(self.topic, partitions, 1, config=config)]).values():
            future.result(10)
        wait_until(lambda: len(bounds(self.settings, self.topic)) == partitions, "the topic", 20, 0.1)

    def delete(self) -> None:
        for future in self.admin.delete_topics([self.topic]).values():
            future.result(10)
        wait_until(lambda: not bounds(self.settings, self.topic), "the topic to be gone", 20, 0.1)

    def raise_partitions(self, partitions: int) -> None:
        for future in self.admin.create_partitions([NewPartitions(self.topic, partitions)]).values():
            future.result(10)

    def send(self, count: int, partition: int = 0) -> None:
        producer = CheckedProducer(self.settings)
        for number in range(count):
            producer.send(self.topic, b"k", b"%d" % number, partition=partition)
        producer.flush()

    def begin(self, name: str) -> Producer:
        """A transactional producer with a transaction of five messages that is open."""
        producer = Producer({"bootstrap.servers": self.settings.bootstrap, "transactional.id": f"{self.topic}-{name}"})
        producer.init_transactions(20)
        producer.begin_transaction()
        for number in range(5):
            producer.produce(self.topic, b"%d" % number, name.encode(), partition=0)
        producer.flush(10)
        return producer

    def consumer(self, offset: int | None = None) -> BatchConsumer:
        begin = {(self.topic, number): offset for number in range(2)}
        return BatchConsumer(self.settings, self.topic, [self.topic], "earliest", assign=begin)

    def everything(self) -> list[Message]:
        return list(read_between(self.settings, "test", bounds(self.settings, self.topic)))


@pytest.fixture
def world(server: Server, request: pytest.FixtureRequest) -> World:
    return World(server, request.node.name.replace("[", "-").replace("]", "")[:200])


def take(consumer: BatchConsumer, count: int) -> list[Message]:
    """So many messages, and no more."""
    found: list[Message] = []
    deadline_s = time.monotonic() + 20
    while len(found) < count:
        assert time.monotonic() < deadline_s, f"{len(found)} of {count} came"
        found += consumer.poll(1000, 0.5)
    assert len(found + consumer.poll(1000, 0.3)) == count
    return found


def test_markers_and_aborted_messages_are_no_gap_and_no_lag(world: World) -> None:
    world.begin("first").commit_transaction(10)
    world.begin("undone").abort_transaction(10)
    world.send(3)
    world.begin("last").commit_transaction(10)  # the topic ends with a marker
    with world.consumer() as consumer, GroupPositions(world.settings, world.topic) as group:
        assert [m.key for m in take(consumer, 13)] == [b"first"] * 5 + [b"k"] * 3 + [b"last"] * 5

        def caught_up() -> bool:
            return consumer.poll() == [] and consumer.commit() and not any(group.lag(world.topic).values())

        wait_until(caught_up, "no lag", 10, 0.1)
    world.begin("undone again").abort_transaction(10)
    wait_until(lambda: bounds(world.settings, world.topic)[world.topic, 0][1] == 27, "the last marker", 10, 0.1)
    assert len(world.everything()) == 13  # and the end is found, though no message has the last offset


def test_an_open_transaction_holds_back_what_comes_after_it_and_is_told_of(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.send(2)
    producer = world.begin("open")
    world.send(4)
    assert len(world.everything()) == 2
    bus, place = KafkaBus(world.settings), (world.topic, 0)
    assert (bus.bounds(world.topic)[place], bus.bounds(world.topic, uncommitted=True)[place]) == ((0, 2), (0, 11))
    with world.consumer() as consumer:
        take(consumer, 2)
        consumer._say_held_back()
        consumer._say_held_back()
        assert "9 messages from offset 2 on wait for a transaction that is not finished" in capsys.readouterr().out
        producer.commit_transaction(10)
        take(consumer, 9)


def test_messages_that_were_deleted_under_a_reader_are_an_error_and_no_gap(world: World) -> None:
    world.begin("first").commit_transaction(10)
    with world.consumer() as consumer:
        take(consumer, 5)
        consumer.pause([(world.topic, 0)])
        world.send(10)
        for future in world.admin.delete_records([TopicPartition(world.topic, 0, 12)]).values():
            future.result(10)
        consumer.resume([(world.topic, 0)])
        with pytest.raises(DeliveryError, match=r"no longer has offset [56]"):
            take(consumer, 10)


def test_partitions_that_are_added_are_read_from_their_beginning(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with world.consumer() as consumer:
        monkeypatch.setattr(consumer._watch, "_every_s", 0.2)
        world.send(1)
        take(consumer, 1)
        world.raise_partitions(3)
        wait_until(lambda: len(bounds(world.settings, world.topic)) == 3, "the partition", 20, 0.1)
        world.send(5, partition=2)
        take(consumer, 5)
        assert consumer.positions()[world.topic, 2] == 5


def test_a_topic_made_anew_is_another(world: World, tmp_path: Path) -> None:
    settle(tmp_path, home_of(world.settings, [world.topic]), "give another")
    settle(tmp_path, home_of(world.settings, [world.topic]), "give another")  # the same: nothing to say
    watch = TopicWatch(world.settings, [(world.topic, 0), (world.topic, 1)], every_s=0.1)
    told = lambda: not watch.added() and bool(watch._ids)  # noqa: E731
    wait_until(told, "the topic's id", 20, 0.05)
    world.delete()
    world.make(2)
    with pytest.raises(InputError, match=r"belongs to a topic .* that was deleted.*give another"):
        settle(tmp_path, home_of(world.settings, [world.topic]), "give another")
    with pytest.raises(DeliveryError, match="deleted and made again"):
        wait_until(lambda: bool(watch.added()), "never", 20, 0.05)


@pytest.mark.parametrize("sent", [2, 9])
def test_a_control_topic_made_anew_is_read_on(server: Server, monkeypatch: pytest.MonkeyPatch, sent: int) -> None:
    world = World(server, TELEMETRY)
    try:
        world.send(6)
        with world.consumer() as consumer:
            monkeypatch.setattr(consumer._watch, "_every_s", 0.2)
            take(consumer, 6)
            wait_until(lambda: not consumer.poll() and bool(consumer._watch._ids), "the topic's id", 20, 0.05)
            world.delete()
            world.make(2)
            world.send(sent)
            found: set[bytes] = set()

            def everything() -> bool:
                found.update(message.value for message in consumer.poll())
                return len(found) == sent

            wait_until(everything, "what the new topic has", 30, 0.05)
    finally:
        world.delete()


def test_poison_of_any_kind_is_read_and_refused_and_what_comes_behind_it_arrives(world: World) -> None:
    keys = (None, b"", b"\xff\xfe", b"k" * 300_000)
    headers: list[Any] = [None, [(f"h{n}", b"x") for n in range(500)], [("format", None)], [("format", b"\xff")]]
    moments = (1, 0, round(time.time() * 1000) + 3_000_000)  # of year 3000 Kafka itself takes none; 0 is now
    at = {"bootstrap.servers": world.settings.bootstrap}
    stranger = Producer({**at, "compression.type": "zstd", "message.max.bytes": 2_000_000})
    for value in POISON:
        for key, header, moment in itertools.product(keys, headers, moments):
            stranger.produce(world.topic, value, key, 0, timestamp=moment, headers=header)
    assert stranger.flush(30) == 0
    world.send(1)
    *poison, good = world.everything()
    assert len(poison) == len(POISON) * len(keys) * len(headers) * len(moments) and good.value == b"0"
    for message in poison:
        for read in READERS:
            with pytest.raises(Malformed):
                read(message.value)
        with pytest.raises(Malformed):
            PushHeaders.decode(message.headers)


def test_a_frozen_kafka_is_waited_for(
    world: World, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("streams.kafka.producer.OUTAGE_NOTE_EVERY_S", 1.0)
    (pid,) = [int(path.read_text()) for path in server.folder.glob("**/pid")]
    producer = CheckedProducer(world.settings)
    producer.send(world.topic, b"k", b"before")
    producer.flush()
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(4, os.kill, (pid, signal.SIGCONT)).start()
    producer.send(world.topic, b"k", b"meanwhile")
    producer.flush()
    assert 1 <= capsys.readouterr().out.count("has not taken 1 messages yet") <= 4
    assert len(world.everything()) == 2


@pytest.mark.parametrize(
    "config",
    [{"max_message_bytes": "100000"}, {"compression_type": "gzip"}, {"message_timestamp_type": "LogAppendTime"}],
    ids=lambda config: next(iter(config)),
)
def test_topics_that_are_set_otherwise_take_what_we_send(world: World, config: dict[str, str]) -> None:
    world.delete()
    world.make(2, **config)
    rng = random.Random(1)
    values = [rng.randbytes(300) for _ in range(5_000)]
    producer = CheckedProducer(world.settings)
    producer.send_many(world.topic, [b"ann"] * len(values), values)
    producer.send(world.topic, b"ann", rng.randbytes(MOST_BYTES), headers={"detail": b"x" * 300})
    producer.flush()
    found = world.everything()
    assert [message.value for message in found][:-1] == values
    assert all(abs(message.timestamp_ms - time.time() * 1000) < 60_000 for message in found)


def test_a_message_that_was_compressed_is_read_whole_however_large(world: World) -> None:
    """A compressed message of 9 MB passes a limit of 1 MB: dead letters are made of its beginning."""
    at = {"bootstrap.servers": world.settings.bootstrap}
    producer = Producer({**at, "compression.type": "zstd", "message.max.bytes": 10**7})
    for size in (1_600_000, 9_000_000):
        producer.produce(world.topic, bytes(size), "ann", partition=0)
    producer.produce(world.topic, b"behind", "ann", partition=0)
    producer.flush(20)
    large: list[Any] = world.everything()
    assert [len(message.value) for message in large] == [1_600_000, 9_000_000, 6]
    letters = CheckedProducer(world.settings)
    for refused in decode(large, "requests", WallMs(0)):
        assert isinstance(refused, DeadLetter)
        letters.send(world.topic, refused.key, refused.value, headers=refused.headers, partition=1)
    letters.flush()
    cut = [message for message in world.everything() if message.partition == 1]
    assert [len(message.value) for message in cut] == [MOST_BYTES, MOST_BYTES, 6]
    assert [message.headers["length"] for message in cut] == [b"1600000", b"9000000", b"6"]
    assert [message.headers["offset"] for message in cut] == [b"0", b"1", b"2"]
