"""`coda trace --follow` beside a Kafka: what it followed is known at once, from its own topic."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.cli import run
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import EVENTS, REQUESTS
from tests.streams.trace.test_tracer import TRACED, event
from wire.canary import canary_id
from wire.telemetry import MatchRequest, encode_report

ROOT = Path(__file__).parents[3]


@contextmanager
def following(bootstrap: str) -> Iterator[None]:
    command = [sys.executable, "-m", "streams", "trace", "--follow", "--bootstrap", bootstrap]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert "following one event in 1,000" in process.stderr.readline()
            yield
        finally:
            process.terminate()
            process.communicate(timeout=20)


def test_an_event_and_a_canary_that_were_followed_are_known_from_the_topic_traces(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def said(*line: str) -> str:
        """What `coda trace` says, once it has it from there."""
        end_s = time.monotonic() + 20
        while "from the topic traces" not in (out := asked(*line)):
            assert time.monotonic() < end_s, out
            time.sleep(0.2)
        return out

    def asked(*line: str) -> str:
        run(["trace", *line, "--bootstrap", kafka.bootstrap])
        return capsys.readouterr().out

    with EmbeddedKafka() as kafka:
        ensure_topics(KafkaSettings(kafka.bootstrap))
        with following(kafka.bootstrap):
            producer, now_ms = KafkaBus(KafkaSettings(kafka.bootstrap)).producer(), time.time_ns() // 1_000_000
            producer.send(EVENTS, "ann", event(TRACED))
            producer.send(REQUESTS, "k", encode_report(MatchRequest(canary_id("one"), "canary", now_ms)))
            producer.flush(10)
            assert f"event {TRACED}: song" in said(TRACED)
            assert f"{canary_id('one')}#{now_ms + 1}" in said("--user", canary_id("one"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["e1", "--otlp", "http://127.0.0.1:4318/v1/traces"], "give --follow, too"),
        (["--follow", "--bootstrap", "127.0.0.1:1"], "127.0.0.1:1"),
    ],
)
def test_what_can_not_be_is_one_line(line: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trace", *line]) != 0
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_without_the_extra_an_export_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr("streams.trace.otel", raising=False)  # whoever imported it left it there
    monkeypatch.setitem(sys.modules, "streams.trace.otel", None)
    assert run(["trace", "--follow", "--otlp", "http://127.0.0.1:4318/v1/traces"]) == 2
    assert "pip install 'coda-streaming[otel]'" in capsys.readouterr().err
