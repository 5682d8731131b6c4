"""What `streams.bus` promises, held against every bus there is."""

import time
from collections.abc import Iterator

import pytest

from streams.bus import Consumer, Message, Partition, Positions
from tests.streams.buses import KINDS, Kind, Stage
from wire.errors import ConnectionFailed, DeliveryError


@pytest.fixture(params=KINDS)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    kind: Kind = request.param
    with kind(request) as found:
        yield found


def send(stage: Stage, *values: bytes, key: bytes | None = b"ann", partition: int | None = None) -> None:
    producer = stage.bus.producer()
    for value in values:
        producer.send(stage.topic, key, value, partition=partition)
    stage.until(producer.settled, "the broker's word on what was sent")


def everywhere(stage: Stage) -> dict[Partition, int | None]:
    return dict.fromkeys(stage.bus.bounds(stage.topic))


def drain(stage: Stage, consumer: Consumer, number: int) -> list[Message]:
    found: list[Message] = []

    def enough() -> bool:
        found.extend(consumer.poll(timeout_s=0.05))
        return len(found) >= number

    stage.until(enough, f"{number} messages")
    return found


def values_of(messages: list[Message]) -> list[bytes]:
    return [message.value for message in messages]


def test_messages_of_one_key_come_in_order_and_whole(stage: Stage) -> None:
    producer = stage.bus.producer()
    produced_ms = time.time_ns() // 1_000_000 - 1000  # not older than a broker keeps messages
    for number in range(50):
        headers = {"seq": b"%d" % number}
        producer.send(stage.topic, "ann", b"%d" % number, timestamp_ms=produced_ms + number, headers=headers)
    producer.send_many(stage.topic, [b"ann"] * 50, [b"%d" % number for number in range(50, 100)])
    stage.until(producer.settled, "the broker's word on what was sent")
    assert len(producer) == 0
    with stage.bus.consumer("g", assign=everywhere(stage), start="earliest") as consumer:
        found = drain(stage, consumer, 100)
    assert values_of(found) == [b"%d" % number for number in range(100)]
    assert len({message.partition for message in found}) == 1
    assert {message.key for message in found} == {b"ann"}
    assert [message.timestamp_ms for message in found[:50]] == [produced_ms + number for number in range(50)]
    assert found[7].headers == {"seq": b"7"} and found[70].headers == {}
    assert [message.offset for message in found] == list(range(100))


def test_a_message_without_a_key_comes_with_an_empty_one(stage: Stage) -> None:
    send(stage, b"x", key=None)
    with stage.bus.consumer("g", assign=everywhere(stage), start="earliest") as consumer:
        assert drain(stage, consumer, 1)[0].key == b""


def test_what_was_not_committed_comes_again(stage: Stage) -> None:
    send(stage, b"1", b"2", b"3")
    for _ in range(2):
        with stage.bus.consumer(stage.topic, assign=everywhere(stage)) as consumer:
            assert values_of(drain(stage, consumer, 3)) == [b"1", b"2", b"3"]
    with stage.bus.consumer(stage.topic, assign=everywhere(stage)) as consumer:
        drain(stage, consumer, 3)
        assert consumer.commit()
    send(stage, b"4")
    with stage.bus.consumer(stage.topic, assign=everywhere(stage)) as consumer:
        assert values_of(drain(stage, consumer, 1)) == [b"4"]


def test_part_of_what_was_read_can_be_committed(stage: Stage) -> None:
    send(stage, b"1", b"2", b"3", partition=0)
    with stage.bus.consumer(stage.topic, assign=everywhere(stage)) as consumer:
        drain(stage, consumer, 3)
        assert consumer.commit({(stage.topic, 0): 1})
    with stage.bus.consumer(stage.topic, assign=everywhere(stage)) as consumer:
        assert values_of(drain(stage, consumer, 2)) == [b"2", b"3"]


def test_a_reader_begins_at_the_end_or_where_it_says(stage: Stage) -> None:
    send(stage, b"1", b"2", b"3", partition=0)
    at_end = stage.bus.consumer("g", assign=everywhere(stage), start="latest")
    at_two = stage.bus.consumer("g", assign={(stage.topic, 0): 1})
    with at_end, at_two:
        assert values_of(drain(stage, at_two, 2)) == [b"2", b"3"]
        assert at_two.position((stage.topic, 0)) == 3
        stage.until(
            lambda: not at_end.poll(timeout_s=0.05) and at_end.position((stage.topic, 0)) == 3, "the end of the topic"
        )
        send(stage, b"4", partition=0)
        assert values_of(drain(stage, at_end, 1)) == [b"4"]


def test_the_end_of_a_partition_is_known_once_all_that_was_there_has_been_read(stage: Stage) -> None:
    send(stage, b"1", b"2", b"3", partition=0)
    with stage.bus.consumer("g", assign={(stage.topic, 0): None}, start="earliest") as consumer:
        assert not consumer.at_end((stage.topic, 0))
        found: list[Message] = []

        def ended() -> bool:
            found.extend(consumer.poll(timeout_s=0.05))
            return consumer.at_end((stage.topic, 0))

        stage.until(ended, "the end")
        assert values_of(found) == [b"1", b"2", b"3"]
        send(stage, b"4", partition=0)
        assert values_of(drain(stage, consumer, 1)) == [b"4"] and consumer.at_end((stage.topic, 0))


def test_a_paused_partition_gives_nothing_until_it_is_resumed(stage: Stage) -> None:
    send(stage, b"1", partition=0)
    with stage.bus.consumer("g", assign=everywhere(stage), start="earliest") as consumer:
        drain(stage, consumer, 1)
        consumer.pause([(stage.topic, 0)])
        send(stage, b"2", partition=0)
        send(stage, b"3", partition=1)
        assert values_of(drain(stage, consumer, 1)) == [b"3"]
        consumer.resume([(stage.topic, 0)])
        assert values_of(drain(stage, consumer, 1)) == [b"2"]


def test_what_was_dropped_is_an_error_and_no_gap(stage: Stage) -> None:
    send(stage, b"1", b"2", partition=0)
    stage.drop((stage.topic, 0))
    assert stage.bus.bounds(stage.topic)[stage.topic, 0][0] > 0
    with (
        stage.bus.consumer("g", assign={(stage.topic, 0): 0}) as consumer,
        pytest.raises(DeliveryError, match="no longer has offset 0"),
    ):
        stage.until(consumer.poll, "an error")


def test_bounds_and_what_lies_between_them(stage: Stage) -> None:
    send(stage, b"1", b"2", b"3", partition=1)
    between = stage.bus.bounds(stage.topic)
    assert between[stage.topic, 1] == (0, 3) and between[stage.topic, 0] == (0, 0)
    send(stage, b"4", partition=1)
    assert values_of(list(stage.bus.read("g", between))) == [b"1", b"2", b"3"]
    assert values_of(list(stage.bus.read("g", {(stage.topic, 1): (1, 2)}))) == [b"2"]
    assert list(stage.bus.read("g", {})) == []


def test_without_an_open_transaction_all_that_is_there_can_be_read(stage: Stage) -> None:
    send(stage, b"1", b"2", partition=0)
    assert stage.bus.bounds(stage.topic, uncommitted=True) == stage.bus.bounds(stage.topic)


def test_a_moment_has_an_offset_in_every_partition(stage: Stage) -> None:
    first_ms = time.time_ns() // 1_000_000 - 1000
    producer = stage.bus.producer()
    for number in range(3):
        producer.send(stage.topic, "k", b"x", timestamp_ms=first_ms + 100 * number, partition=1)
    stage.until(producer.settled, "the broker's word on what was sent")
    if stage.bus.forgetful:
        with pytest.raises(ConnectionFailed, match="cannot look up times"):
            stage.bus.offsets_at(stage.topic, first_ms)
        return
    for moment_ms, offset in ((first_ms - 1, 0), (first_ms + 100, 1), (first_ms + 101, 2), (first_ms + 201, 3)):
        found = stage.bus.offsets_at(stage.topic, moment_ms)
        assert found.keys() == set(everywhere(stage))
        assert found[stage.topic, 1] == offset and found[stage.topic, 0] == 0, "the end where nothing came later"


def test_a_group_is_seen_from_outside(stage: Stage) -> None:
    send(stage, b"1", b"2", b"3", partition=0)
    group = stage.bus.group(stage.topic)
    try:
        assert not group.begun(stage.topic) and group.lag(stage.topic)[0] == 3
        with stage.bus.consumer(stage.topic, assign=everywhere(stage)) as consumer:
            drain(stage, consumer, 3)
            consumer.commit({(stage.topic, 0): 1})
        assert group.begun(stage.topic) and group.lag(stage.topic)[0] == 2
        assert group.spans(stage.topic)[0] == (1, 3) and group.spans(stage.topic)[1] == (0, 0)
        group.mirror({(stage.topic, 0): 3})
        stage.until(lambda: group.lag(stage.topic)[0] == 0, "the mirrored position")
    finally:
        group.close()


def test_members_share_partitions_and_what_is_committed_does_not_come_again(stage: Stage) -> None:
    for _, number in everywhere(stage):
        send(stage, b"early", partition=number)
    given: list[Positions] = []
    taken: list[Partition] = []
    one = stage.bus.consumer(stage.topic, [stage.topic], on_assign=given.append, on_revoke=taken.extend)
    with one:
        drain(stage, one, len(everywhere(stage)))
        assert set().union(*given) == set(everywhere(stage))
        assert one.commit()
        with stage.bus.consumer(stage.topic, [stage.topic]) as two:
            later: list[Message] = []

            def both_have_some() -> bool:
                later.extend([*one.poll(timeout_s=0.05), *two.poll(timeout_s=0.05)])
                return bool(one.positions() and two.positions())

            stage.until(both_have_some, "a share of each")
            assert taken and not later
            assert set(one.positions()) | set(two.positions()) == set(everywhere(stage))
            assert not set(one.positions()) & set(two.positions())
            for _, number in everywhere(stage):
                send(stage, b"late", partition=number)
            stage.until(lambda: both_have_some() and len(later) == len(everywhere(stage)), "what came after")
        taken.clear()
    assert not taken, "who closes is not told of what goes"


def test_what_is_not_there_is_said(stage: Stage) -> None:
    assert stage.bus.bounds("contract-nowhere") == {} or stage.bus.forgetful  # that one makes what it is asked for
    if not stage.bus.forgetful:
        with pytest.raises(ConnectionFailed, match="no topic contract-nowhere"):
            stage.bus.consumer("g", ["contract-nowhere"])


def test_a_bus_knows_itself_again(stage: Stage) -> None:
    home = stage.bus.home([stage.topic])
    assert home.cluster and home == stage.bus.home([stage.topic])
    assert stage.bus.name
