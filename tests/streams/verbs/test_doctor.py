"""`coda doctor` as a person runs it."""

import json
from pathlib import Path

import pytest

from streams.cli import run
from streams.kafka.connection import KafkaSettings
from streams.mqtt.embedded import EmbeddedMqtt
from tests.integration.stack import free_port


def test_without_servers_it_says_how_to_start_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    there = f"127.0.0.1:{free_port()}"
    assert run(["doctor", "--bootstrap", there, "--mqtt", there]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("fail  Kafka") and "scripts/kafka up" in line for line in lines)
    assert any(line.startswith("fail  MQTT") and "scripts/mqtt up" in line for line in lines)
    assert any(line.startswith("warn  pool") and "coda flow" in line for line in lines)


def test_with_servers_nothing_fails(
    kafka: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with EmbeddedMqtt() as mqtt:
        assert run(["doctor", "--bootstrap", kafka.bootstrap, "--mqtt", mqtt.address, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {each["name"]: each["word"] for each in found}["Kafka"] == "ok"


@pytest.mark.servers
def test_topics_and_clock_are_told_of(
    real_kafka: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(["doctor", "--bootstrap", real_kafka.bootstrap, "--mqtt", f"127.0.0.1:{free_port()}"])
    lines = capsys.readouterr().out.splitlines()
    assert any("topics" in line for line in lines)
    (clock,) = [line for line in lines if line[6:].startswith("clock")]
    assert "from Kafka's" in clock or "not compared" in clock
