from pathlib import Path

import polars as pl
import pytest

from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.producer import CheckedProducer
from streams.logs.event_log import Rejected
from streams.replay.source import Batch, LogSource, Range, Source, TopicSource
from tests.streams.buses import SimulatedStage
from tests.streams.logs.world import make_log, write_csv
from wire.errors import InputError
from wire.event import decode_event

LOG = make_log(200)
T0 = 1_000_000_000_000


def ids(batches: list[Batch]) -> list[str]:
    return [name for batch in batches for name in batch.ids]


def rejected(batches: list[Batch]) -> list[Rejected]:
    return [row for batch in batches for row in batch.rejected]


def whole(source: Source) -> list[Batch]:
    return list(source.batches({}))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    LOG.write_parquet(tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


def test_keys_are_users_and_values_are_events(log: Path) -> None:
    (batch,) = whole(LogSource(log, Range()))
    events = [decode_event(value) for value in batch.values]
    assert [event.user_id.encode() for event in events] == batch.keys
    assert [event.event_id for event in events] == batch.ids
    assert [event.timestamp for event in events] == batch.timestamps.tolist() == LOG["timestamp"].to_list()


@pytest.mark.parametrize("done", [0, 1, 77, 199, 200])
def test_it_goes_on_after_any_position(log: Path, done: int) -> None:
    source = LogSource(log, Range())
    (batch,) = whole(source)
    assert ids(list(source.batches(batch.positions[done]))) == batch.ids[done:]


def test_rejected_rows_are_not_given_twice(tmp_path: Path) -> None:
    source = LogSource(write_csv(tmp_path / "a.csv", "u,i,c,e,1,1", "bad", "u,i,c,e,1,2"), Range())
    (batch,) = whole(source)
    assert [row.line for row in batch.rejected] == [3]
    (rest,) = source.batches(batch.positions[0])
    assert (rest.rejected, len(rest.ids)) == ((), 2)
    assert list(source.batches(batch.positions[2])) == []


def test_a_range_takes_its_events_and_the_malformed_rows_among_them(tmp_path: Path) -> None:
    rows = ["bad 1", "u,i,c,e,1,10", "bad 2", "u,i,c,e,1,20", "bad 3", "u,i,c,e,1,30", "bad 4"]
    path = write_csv(tmp_path / "a.csv", *rows)
    parts = [Range(0, 20), Range(20, 30), Range(30)]
    batches = [whole(LogSource(path, part)) for part in parts]
    assert [[int(t) for batch in part for t in batch.timestamps] for part in batches] == [[10], [20], [30]]
    assert sorted(row.raw for part in batches for row in rejected(part)) == [b"bad 1", b"bad 2", b"bad 3", b"bad 4"]
    assert LogSource(path, parts[1]).span.events == 1


def test_ids_do_not_depend_on_the_range(log: Path) -> None:
    later = LogSource(log, Range(T0 + 100_000))
    assert ids(whole(later)) == ids(whole(LogSource(log, Range())))[100:]


def test_an_unsorted_log_is_sorted_and_said_to_be(tmp_path: Path) -> None:
    LOG.reverse().write_csv(tmp_path / "a.csv")
    source = LogSource(tmp_path / "a.csv", Range())
    (batch,) = whole(source)
    assert batch.timestamps.tolist() == LOG["timestamp"].to_list()
    assert any("line 3 is earlier" in note and "sorted in memory" in note for note in source.notes)


def test_a_range_without_an_event_is_told_what_there_is(log: Path) -> None:
    with pytest.raises(InputError, match=r"no event of .* lies between .* its events are from 2001-09"):
        LogSource(log, Range(2_000_000_000_000))


def test_a_range_the_wrong_way_round() -> None:
    with pytest.raises(InputError, match="--from must be before --until"):
        Range(5, 5)


def test_a_changed_log_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    LOG.write_csv(path)
    before = LogSource(path, Range()).identity
    LOG.with_columns(pl.lit(1).alias("label")).write_csv(path)
    assert LogSource(path, Range()).identity != before


def test_a_topic_is_replayed_as_it_is_with_what_is_no_event_set_apart(kafka: KafkaSettings, log: Path) -> None:
    (batch,) = whole(LogSource(log, Range()))
    producer = CheckedProducer(kafka)
    producer.send_many("events", batch.keys, batch.values)
    producer.send("events", "x", b"no event", partition=2)
    producer.flush()
    source = TopicSource(KafkaBus(kafka), "events", Range())
    found = whole(source)
    assert sorted(ids(found)) == sorted(batch.ids)
    assert [row.raw for row in rejected(found)] == [b"no event"]
    assert source.span.events == 201
    (first,) = found
    (rest,) = source.batches(first.positions[50])
    assert sorted(first.ids[:50] + rest.ids) == sorted(batch.ids)


def test_a_part_of_a_topic_is_replayed_by_when_it_was_produced(log: Path) -> None:
    (batch,) = whole(LogSource(log, Range()))
    stage = SimulatedStage()
    producer = stage.bus.producer()
    for number, (key, value) in enumerate(zip(batch.keys, batch.values, strict=True)):
        producer.send(stage.topic, key, value, timestamp_ms=T0 + number)
    stage.until(producer.settled, "all events")
    source = TopicSource(stage.bus, stage.topic, Range(T0 + 50, T0 + 120))
    assert source.span.events == 70
    assert sorted(ids(whole(source))) == sorted(batch.ids[50:120])


def test_a_replay_whose_next_messages_were_dropped_meanwhile_is_told_and_skips_nothing(log: Path) -> None:
    (batch,) = whole(LogSource(log, Range()))
    stage = SimulatedStage()
    producer = stage.bus.producer()
    for value in batch.values[:20]:
        producer.send(stage.topic, "ann", value, partition=0)
    stage.until(producer.settled, "all events")
    (found,) = whole(TopicSource(stage.bus, stage.topic, Range()))
    stage.drop((stage.topic, 0))
    again = TopicSource(stage.bus, stage.topic, Range())
    assert list(again.batches(found.positions[20])) == [], "nothing is left to do"
    with pytest.raises(InputError, match=r"at offset 7 of contract\[0\], but .* from 20 on: what lies between is gone"):
        list(again.batches(found.positions[7]))


def test_a_topic_that_is_not_there(kafka: KafkaSettings) -> None:
    with pytest.raises(InputError, match="no topic nothing"):
        TopicSource(KafkaBus(kafka), "nothing", Range())
