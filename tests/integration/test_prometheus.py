"""A real Prometheus with our rules: a flow that is killed fires the alert that is for it, and none before."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor import dashboards
from streams.kafka.embedded import EmbeddedKafka
from streams.ports import free_ports
from tests.streams.flow.world import Flow, World, stream, wait_until

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="no Prometheus here: apt install prometheus"),
]
RULES = Path(dashboards.__file__).parent / "rules.yml"
POOLED = '{stage="pooled"}'
STALLED = "CodaPartitionStalled"


class Prometheus:
    """One that scrapes and judges each second."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api/v1"

    def value(self, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask(f"/query?query={query}").get("result", [])
        return found

    def firing(self) -> set[str]:
        """The alerts that fire now."""
        alerts = self._ask("/alerts").get("alerts", [])
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def _ask(self, path: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(self._address + path, timeout=5) as answer:
                data: dict[str, Any] = json.load(answer)["data"]
                return data
        except OSError:
            return {}


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[Prometheus]:
    shutil.copy(RULES, folder)
    scrape = {"job_name": "coda", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [RULES.name],
        "scrape_configs": [scrape],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    (port,) = free_ports(1)
    flags = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command = ["prometheus", *flags, f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield Prometheus(port)
        finally:
            process.terminate()


def test_a_killed_flow_fires_its_alert_and_a_flow_that_idles_none(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    (tmp_path / "prometheus").mkdir()
    with EmbeddedKafka() as kafka, prometheus(tmp_path / "prometheus", port) as seen:
        world = World(kafka.bootstrap)
        world.publish()
        world.send(stream(100))
        with Flow(world, tmp_path / "flow", "--metrics-port", str(port)) as flow:
            world.drained()
            wait_until(lambda: bool(seen.value(f"coda:frontier_timestamp_seconds{POOLED}")), "a frontier", 30)
            time.sleep(70)
            assert seen.firing() == set(), "nothing comes, and that is no failure"
            flow.kill()
            wait_until(lambda: STALLED in seen.firing(), "the alert", 100)
            ages = seen.value(f"coda:stage_age_seconds{POOLED}")
            assert float(ages[0]["value"][1]) > 60, "the age of a dead flow goes on growing"
