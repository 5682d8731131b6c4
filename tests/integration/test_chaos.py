"""`coda chaos` on Apache Kafka and mosquitto: Kafka out of reach, then the broker killed, and a verdict."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.stack import REPOSITORY

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]
SCENARIO = """
name = "short"
events = 1500
seconds = "12s"
begins = "1s"

[[stage]]
[[stage.fault]]
kind = "down"
link = "kafka"
for = "2s"
[[stage.fault]]
kind = "kill"
process = "mqtt"
at = "4s"
for = "1s"
"""


def test_a_scenario_on_servers_is_judged_and_holds(tmp_path: Path) -> None:
    (tmp_path / "short.toml").write_text(SCENARIO)
    command = [sys.executable, "-m", "streams", "chaos", str(tmp_path / "short.toml"), "--stack", "servers"]
    options = ["--no-undisturbed", "--json", "--out", str(tmp_path / "run")]
    done = subprocess.run([*command, *options], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    verdict = json.loads(done.stdout)["verdict"]
    assert [fault["name"] for fault in verdict["faults"]] == ["down", "kill mqtt"]
    assert verdict["faults"][0]["effect"]["cut"] > 0 and "ended" in verdict["faults"][1]["effect"]["seen"]
    assert (verdict["events"]["attempted"], verdict["events"]["lost"]) == (1500, 0)
    assert verdict["devices_before"] > 0 and verdict["recovered_s"] is not None
    assert (tmp_path / "run" / "report.html").stat().st_size > 100_000
