"""A process says each second how it is, to Kafka and to a person, and at its end what it did."""

import io
import time
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from monitor.metrics import Metrics
from monitor.words import Word
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import EVENTS, FLOW_GROUP, STATUS
from streams.process.lookout import Lookout
from streams.process.pulse import Pulse
from streams.watch.reader import StatusReader
from streams.watch.views import VIEWS
from tests.clock import HandClock
from tests.streams.scripted import ScriptedBus
from wire.clock import SystemClock
from wire.errors import ConnectionFailed
from wire.status import Frontier, Role, decode_status


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def bus() -> Iterator[KafkaBus]:
    with EmbeddedKafka() as kafka:
        yield KafkaBus(KafkaSettings(kafka.bootstrap))


def test_whoever_watches_sees_it_and_that_it_ended(bus: KafkaBus) -> None:
    clock, metrics = SystemClock(), Metrics()
    producer = bus.producer()
    producer.send_many(EVENTS, [b"ann"] * 5, [b"{}"] * 5)
    producer.flush(10)
    lookout = Lookout(bus, clock, metrics, stage="pooled", group=FLOW_GROUP, topic=EVENTS)
    pulse = Pulse(Role.FLOW, "0", bus, clock, metrics, lookouts=[lookout], out=io.StringIO())
    with capture_logs() as lines, pulse:
        metrics.pooled.inc(5)
        time.sleep(1.5)
    with StatusReader(bus, SystemClock()) as reader:
        reader.catch_up(10)
        picture = reader.fold.picture(clock.wall_ms())
        producer.send_many(EVENTS, [b"bob"] * 3, [b"{}"] * 3)
        producer.flush(10)
        with Pulse(Role.TUNNEL, "t", bus, clock, Metrics(), shows=False) as other:  # somebody is there, so Kafka is
            other.beat()
            while len((later := reader.picture()).processes) < 2:
                reader.poll()
    (process,) = picture.processes
    stage = picture.stage("pooled")
    pooled = later.stage("pooled")
    assert pooled is not None and pooled.behind == 8, "what waits for a process that is gone grows"
    assert (process.key, process.ended) == ("flow/0", True)
    assert picture.total(Metrics.pooled) == 5
    assert stage is not None and stage.behind == 5
    last = lines[-1]["event"]
    assert last.startswith("flow/0 ended: ") and "pooled" in last and last.endswith("5 left to do")


def test_a_message_that_is_no_status_is_passed_over_and_shown(bus: KafkaBus) -> None:
    producer = bus.producer()
    producer.send(STATUS, "x", b"hello")
    producer.flush(10)
    with StatusReader(bus, SystemClock()) as reader:
        reader.catch_up(10)
        faults = next(view for view in VIEWS if view.name == "faults").rows(reader.picture())
        (row,) = [row for row in faults if row.cells[0] == "status"]
        assert row.cells[1] == "1" and row.word is Word.STALLED


def test_elsewhere_than_on_a_terminal_a_line_comes_every_ten_seconds() -> None:
    out, clock = io.StringIO(), HandClock(1_000_000)
    pulse = Pulse(Role.FLEET, "f", ScriptedBus(), clock, Metrics(), out=out)  # type: ignore[arg-type]
    with capture_logs() as lines:
        for _ in range(25):
            clock.passes(1000)
            pulse.show(pulse.beat())
    assert len(lines) == 2 and out.getvalue() == ""


def test_on_a_terminal_one_line_is_written_anew() -> None:
    out, clock = Terminal(), HandClock(1_000_000)
    pulse = Pulse(Role.FLEET, "f", ScriptedBus(), clock, Metrics(), out=out)  # type: ignore[arg-type]
    for _ in range(3):
        pulse.show(pulse.beat())
    assert out.getvalue().count("\r\x1b[2K") == 3 and "\n" not in out.getvalue()
    with pulse.hushed():
        pulse.show(pulse.beat())
    assert out.getvalue().count("\r\x1b[2K") == 3


def test_a_kafka_that_is_away_costs_the_status_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise ConnectionFailed("Kafka is away")

    bus, out = ScriptedBus(), io.StringIO()
    monkeypatch.setattr(bus, "producer", away)
    monkeypatch.setattr("streams.process.pulse.EVERY_S", 0.01)
    with capture_logs() as lines, Pulse(Role.FLOW, "0", bus, SystemClock(), Metrics(), out=out):  # type: ignore[arg-type]
        time.sleep(0.1)
    assert lines[-1]["event"].startswith("flow/0 ended:")


def test_a_status_that_kafka_did_not_take_fails_nobody() -> None:
    bus: Any = ScriptedBus()
    with capture_logs() as lines, Pulse(Role.REPLAY, "log", bus, SystemClock(), Metrics()) as pulse:
        pulse.beat()
        bus.producers[0].fails = True
    told = [line["event"] for line in lines]
    assert any("does not reach Kafka" in event for event in told)
    assert told[-1].startswith("replay/log ended:")


def test_statuses_are_numbered() -> None:
    bus = ScriptedBus()
    pulse = Pulse(Role.FLOW, "0", bus, HandClock(5), Metrics(), out=io.StringIO())  # type: ignore[arg-type]
    for _ in range(3):
        pulse.beat()
    said = [decode_status(raw) for topic, raw in bus.producers[0].sent if topic == STATUS]
    assert [(status.boot, status.sequence) for status in said] == [(5, 1), (5, 2), (5, 3)]


def test_who_has_counted_nothing_has_little_to_say() -> None:
    """Zeros, which it leaves out, are 800 bytes."""
    bus = ScriptedBus()
    Pulse(Role.FLOW, "0", bus, HandClock(5), Metrics(), out=io.StringIO()).beat()  # type: ignore[arg-type]
    (said,) = [raw for topic, raw in bus.producers[0].sent if topic == STATUS]
    assert 100 < len(said) < 500


def test_who_fails_at_once_says_only_why() -> None:
    bus: Any = ScriptedBus()
    pulse = Pulse(Role.FLOW, "0", bus, SystemClock(), Metrics())
    with capture_logs() as lines, pytest.raises(ConnectionFailed), pulse:
        raise ConnectionFailed("no broker")
    assert lines == []


def test_a_kafka_that_never_answers_holds_up_no_end_and_takes_no_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(Lookout):
        def __init__(self) -> None:
            self.asked = 0

        def look(self) -> list[Frontier]:
            self.asked += 1
            time.sleep(8)
            return []

    lookout = Hanging()
    monkeypatch.setattr("streams.process.pulse.EVERY_S", 0.01)
    monkeypatch.setattr("streams.process.pulse._JOIN_S", 0.2)
    began_s = time.monotonic()
    bus: Any = ScriptedBus()
    with capture_logs() as lines, Pulse(Role.FLOW, "0", bus, SystemClock(), Metrics(), lookouts=[lookout]):
        time.sleep(0.2)
    assert time.monotonic() - began_s < 5 and lookout.asked == 1
    assert lines[-1]["event"].startswith("flow/0 ended:")
