"""`coda watch` for scripts, and what it says where there is nothing to see."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.cli import run
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import STATUS
from streams.watch.app import WatchApp
from tests.streams.watch.statuses import frontier, status
from wire.errors import DeliveryError
from wire.status import encode_status


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    with EmbeddedKafka() as server:
        producer = KafkaBus(KafkaSettings(server.bootstrap)).producer()
        for n in range(5):
            said = status(at_s=time.time() - 5 + n, frontiers=(frontier("pooled", n, n, time.time()),))
            producer.send(STATUS, said.key, encode_status(said))
        producer.flush(10)
        yield server.bootstrap


def test_once_it_prints_text(kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["watch", "--once", "--bootstrap", kafka]) == 0
    said = capsys.readouterr().out
    assert "pooled  FRESH" in said and "flow/0   up" in said


def test_as_json_it_is_one_document(kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["watch", "--once", "--json", "--bootstrap", kafka]) == 0
    picture = json.loads(capsys.readouterr().out)
    assert picture["processes"][0]["key"] == "flow/0" and picture["stages"][0]["word"] == "FRESH"


def test_a_wrong_address_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["watch", "--once", "--bootstrap", "127.0.0.1:1"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("coda: ") and "127.0.0.1:1" in said and said.count("\n") == 1


def test_a_view_that_a_kafka_ends_leaves_one_line(
    kafka: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(app: WatchApp) -> None:
        app.failed = DeliveryError("Kafka does not let coda-watch read")

    monkeypatch.setattr(WatchApp, "run", refused)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run(["watch", "--bootstrap", kafka]) == 1
    assert capsys.readouterr().err == "coda: Kafka does not let coda-watch read\n"


def test_a_recording_of_which_nothing_was_heard_leaves_nothing_in_the_way_of_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with EmbeddedKafka() as empty:
        for _ in range(2):
            assert run(["watch", "--bootstrap", empty.bootstrap, "--record", str(tmp_path)]) == 2
            assert "has no topic status" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["watch", str(tmp_path), "--once"]) == 2
    assert "has no status.jsonl" in capsys.readouterr().err
