"""`coda fleet --processes 2` as users have it: real processes, one of them killed, against embedded brokers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from streams.kafka.admin import ensure_topics
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import FLEET_GROUP
from streams.mqtt.embedded import EmbeddedMqtt
from tests.streams.fleet.world import Cloud, history_of
from tests.streams.kafka.lag import lag
from wire.signing import PUBLIC
from wire.telemetry import Presence

ROOT = Path(__file__).parents[3]
LIMIT_S = 300.0
USERS = [f"user-{n}" for n in range(12)]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with EmbeddedKafka() as kafka, EmbeddedMqtt() as mqtt:
        ensure_topics(KafkaSettings(kafka.bootstrap))
        cloud = Cloud(kafka.bootstrap, mqtt, tmp_path / "keys")
        cloud.address = mqtt.settings  # type: ignore[attr-defined]
        cloud.model(1)
        cloud.task()
        yield cloud
        cloud.close()


@contextmanager
def fleet(cloud: Cloud, folder: Path, processes: int, *more: str) -> Iterator[subprocess.Popen[str]]:
    address = cloud.address.address  # type: ignore[attr-defined]
    command = [
        *(sys.executable, "-m", "streams", "fleet", "--processes", str(processes), "--json", *more),
        *("--bootstrap", cloud.kafka.bootstrap, "--mqtt", address, "--cloud-key", str(folder / "keys" / PUBLIC)),
        *("--state", str(folder / "state"), "--out", str(folder / "out")),
    ]
    with (
        (folder / "log").open("a") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True) as running,
    ):
        try:
            yield running
        finally:
            running.kill()  # where it has not ended: its processes end with it


@pytest.mark.timeout(900)
def test_two_processes_are_one_fleet_through_a_crash_and_a_restart(cloud: Cloud, tmp_path: Path) -> None:
    done = 0

    def behave(events: int) -> None:
        nonlocal done
        cloud.behave("events", [event for user in USERS for event in history_of(user, done, events)])
        done += events
        until(lambda: not any(lag(cloud.kafka.bootstrap, FLEET_GROUP, "events").values()), tmp_path)
        until(lambda: [*online().values()] == [True] * len(USERS), tmp_path)

    def ended(running: subprocess.Popen[str], number: signal.Signals) -> dict[str, Any]:
        running.send_signal(number)
        told, _ = running.communicate(timeout=LIMIT_S)
        assert running.returncode == 128 + number, log(tmp_path)
        result: dict[str, Any] = json.loads(told)
        assert result == json.loads((tmp_path / "out" / "result.json").read_text())
        return result

    def online() -> dict[str, bool]:
        return {each.user_id: each.online for each in cloud.reports(Presence) if isinstance(each, Presence)}

    with fleet(cloud, tmp_path, 2, "--drop", "50%", "--for", "1s") as running:
        behave(10)
        os.kill(children(running.pid)[1], signal.SIGKILL)
        behave(10)
        result = ended(running, signal.SIGINT)
    assert "a process of the fleet died, restarting all" in log(tmp_path)
    assert result["drop"]["share"] == 0.5
    with fleet(cloud, tmp_path, 2) as running:
        behave(10)
        result = ended(running, signal.SIGTERM)
    frame = pl.read_parquet(tmp_path / "out" / "predictions.parquet")
    expected = {event.event_id for user in USERS for event in history_of(user, 0, done)}
    assert set(frame["event_id"]) == expected and len(frame) == len(expected) == result["events"]
    assert result["devices"] == len(USERS) == result["device_cost"]["bytes_up"]["count"]
    trainings = (tmp_path / "out" / "trainings.jsonl").read_text().splitlines()
    assert len(trainings) == result["device_cost"]["compute_ms"]["count"] > 0
    until(lambda: not any(online().values()), tmp_path)  # all said goodbye
    with fleet(cloud, tmp_path, 1) as running:
        assert running.wait(LIMIT_S) == 2
    assert "is of a fleet of --processes 2, which says what is where: give as many" in log(tmp_path)


def test_processes_that_cannot_share_the_partitions_are_refused_in_one_line(cloud: Cloud, tmp_path: Path) -> None:
    with fleet(cloud, tmp_path, 3) as running:
        assert running.wait(LIMIT_S) == 2
    (line,) = [line for line in log(tmp_path).splitlines() if "--processes 3" in line]
    assert line.endswith("evenly: give 1, 2 or 4")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def log(folder: Path) -> str:
    return (folder / "log").read_text()


def until(holds: Callable[[], bool], folder: Path) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < end_s, log(folder)
        time.sleep(0.1)
