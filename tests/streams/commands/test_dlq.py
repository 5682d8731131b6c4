"""`coda dlq` as a person runs it."""

import json
from pathlib import Path

import pytest

from streams.cli import run
from streams.kafka.connection import KafkaSettings
from tests.streams.logs.world import write_csv


@pytest.fixture
def refused(kafka: KafkaSettings, tmp_path: Path) -> KafkaSettings:
    """A Kafka into which a log with three malformed rows was replayed."""
    rows = ["u,i,c,e,1,1500000000000", "u,i", ",i,c,e,1,1500000000001", "u\x1b[2J,i,c,e,7,1500000000002"]
    log = write_csv(tmp_path / "a.csv", *rows)
    assert (
        run(["replay", str(log), "--bootstrap", kafka.bootstrap, "--max-ahead", "1000", "--throttle-groups", ""]) == 0
    )
    return kafka


def test_letters_are_counted_and_told_with_reason_and_origin(
    refused: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(["dlq", "--bootstrap", refused.bootstrap]) == 0
    told = capsys.readouterr().out
    assert told.startswith("3 dead letters in events.dlq")
    assert "\x1b" not in told, "and no letter draws on the terminal"
    assert "3 × event: malformed, from a.csv-" in told and " line 3: 2 fields" in told and "no user_id" in told


def test_some_letters_as_a_document(refused: KafkaSettings, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["dlq", "--bootstrap", refused.bootstrap, "--last", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert sum(each["letters"] for each in document["counts"]) == 3 and len(document["newest"]) == 1
    assert run(["dlq", "--bootstrap", refused.bootstrap, "--reason", "late", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"counts": [], "newest": []}
