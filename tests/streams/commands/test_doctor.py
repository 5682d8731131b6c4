"""`coda doctor` as a person runs it."""

import json
from pathlib import Path

import pytest

from streams.cli import run
from streams.doctor import servers
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.topics import STATUS
from streams.mqtt.embedded import EmbeddedMqtt
from tests.integration.stack import free_port
from wire.clock import SystemClock


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
    assert any("topics" in line for line in lines) and any(line[6:].startswith("clock") for line in lines)
    ensure_topics(real_kafka, [STATUS])
    producer = KafkaBus(real_kafka).producer()

    def beat(_seconds: float = 0) -> None:
        producer.send(STATUS, "x", b"Kafka stamps this now")
        producer.flush(10)

    beat()
    monkeypatch.setattr("streams.doctor.servers.time.sleep", beat)
    now_ms = SystemClock().wall_ms()
    for ahead_ms, word in ((0, "ok"), (20_000, "warn"), (3_600_000, "warn")):
        (clock,) = [each for each in servers.kafka(real_kafka, now_ms + ahead_ms) if each.name == "clock"]
        assert clock.word == word and clock.seen.endswith(" s from Kafka's")


@pytest.mark.parametrize(
    ("stamps_s", "now_s", "word", "seen"),
    [
        ([100], 101, "ok", "at most 1.0 s"),
        ([100], 20, "warn", "at most 80.0 s"),
        ([100, 103], 4000, "warn", "at most 3900.0 s"),
        ([100, 100], 140, "ok", "no process of ours runs"),
        ([0], 140, "ok", "no process of ours runs"),
    ],
)
def test_a_clock_that_is_far_ahead_is_told_from_processes_that_stopped(
    stamps_s: list[int], now_s: int, word: str, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(stamps_s)
    monkeypatch.setattr("streams.doctor.servers._newest_ms", lambda _: 1000 * next(left))
    monkeypatch.setattr("streams.doctor.servers.time.sleep", lambda _: None)
    clock = servers._clock(KafkaSettings("127.0.0.1:1"), 1000 * now_s)
    assert clock.word == word and seen in clock.seen
