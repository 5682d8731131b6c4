"""One event followed through the topics: produced, pooled, in a batch, taken, trained on; or refused."""

from collections.abc import Iterator

import numpy as np
import pytest

from streams.cli import run
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import CANDIDATES, DEAD_LETTERS, EVENTS, SAMPLES, TELEMETRY
from tests.wire.reports import ack, training
from wire.batch import encode_batch
from wire.candidates import CandidateBatch, Candidates, no_candidates
from wire.event import Event, encode_event
from wire.identity import ModelId
from wire.ids import item_key, sample_key, user_key
from wire.sample import SampleRecord, encode_record
from wire.telemetry import encode_report

AT_MS = 1_600_000_000_000
NOW_MS = 1_795_000_000_000
EVENT = Event("e1", "ann", "song", "pop", "click", 1, AT_MS)


def batch(seq: int, item: str, age_s: int) -> bytes:
    """A batch for bob that holds one sample of this item, so old at the query an hour later."""
    one = np.ones(1, np.uint32)
    held = Candidates(np.ones(1, np.float16), one * item_key(item), one, np.ones(1, np.uint8), np.zeros(1, np.uint8),
                      one * age_s)  # fmt: skip
    later_ms = AT_MS + 3_600_500
    return encode_batch(
        CandidateBatch("bob", seq, ModelId("", 1), later_ms, 0, 0, held, np.ones(1, np.float16), no_candidates())
    )


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    with EmbeddedKafka() as server:
        settings = KafkaSettings(server.bootstrap)
        ensure_topics(settings)
        producer = KafkaBus(settings).producer()

        def send(topic: str, value: bytes, after_ms: int, headers: dict[str, bytes] | None = None) -> None:
            producer.send(topic, "k", value, timestamp_ms=NOW_MS + after_ms, headers=headers)

        send(EVENTS, b"no event", 0)
        send(EVENTS, encode_event(Event("e0", "eve", "\x1b]0;owned\x07\x1b[2J", "pop", "click", 1, AT_MS)), -5)
        send(EVENTS, encode_event(EVENT), 0)
        late = Event("e2", "ann", "song", "pop", "click", 1, AT_MS + 5)
        send(EVENTS, encode_event(late), 10)
        send(DEAD_LETTERS, encode_event(late), 20, {"reason": b"late"})
        record = SampleRecord(
            sample_key("e1"), user_key("ann"), item_key("song"), item_key("pop"), 1, 0, AT_MS, NOW_MS, b"", b""
        )
        send(SAMPLES, encode_record(record), 100)
        send(CANDIDATES, batch(7, "song", 3600), 2000)
        send(CANDIDATES, batch(8, "song", 4200), 2500)
        send(CANDIDATES, batch(9, "other", 3600), 2600)
        send(TELEMETRY, encode_report(ack("bob", 7)), 3000)
        send(TELEMETRY, encode_report(training("bob", 5, 1.0, trained_seq=7)), 9000)
        send(TELEMETRY, encode_report(training("bob", 6, 1.0, trained_seq=7)), 99_000)
        producer.flush(10)
        yield server.bootstrap


def test_an_event_is_followed_to_who_trained_on_it(kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trace", "e1", "--bootstrap", kafka]) == 0
    first, produced, *steps = capsys.readouterr().out.splitlines()
    assert first.startswith("event e1: ann and song, label 1") and "produced to events[" in produced
    assert [step.split("  + ")[1] for step in steps] == [
        "100 ms: its sample is in the pool",
        "2.0 s: in batch 7 for bob, matched",
        "3.0 s: bob took batch 7",
        "9.0 s: bob trained on batch 7",
    ]


def test_without_an_id_the_newest_of_a_user_is_followed(kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trace", "--user", "ann", "--bootstrap", kafka]) == 0
    said = capsys.readouterr().out
    assert said.startswith("event e2") and "10 ms: refused: late" in said


def test_what_a_device_calls_its_item_moves_no_cursor(kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trace", "--user", "eve", "--bootstrap", kafka]) == 0
    said = capsys.readouterr().out
    assert "eve and \ufffd]0;owned\ufffd" in said and "\x1b" not in said


def test_what_is_not_there_is_one_line(kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trace", "nothing", "--bootstrap", kafka]) == 2
    said = capsys.readouterr().err
    assert "no event nothing in the topic events" in said and said.count("\n") == 1
