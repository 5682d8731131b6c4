"""What `scripts/kafka` says when something is missing or wrong; that it starts Kafka is shown by every server test."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.integration.stack import free_port
from tests.streams.kafka.server import SCRIPT

TOOLS = ("bash", "dirname", "sed", "head", "mkdir", "mktemp", "ps", "cat", "tr", "base64", "grep", "rm", "mv", "tail")


def call(tmp_path: Path, *arguments: str, java: str = "", mvn: str = "") -> tuple[int, str]:
    """The exit code and stderr, with no other tools in reach than the usual ones and these scripts."""
    tools = tmp_path / "bin"
    tools.mkdir(exist_ok=True)
    for name in TOOLS:
        found = shutil.which(name)
        assert found, name
        (tools / name).symlink_to(found)
    for name, body in {"java": java, "mvn": mvn}.items():
        if body:
            (tools / name).write_text(f"#!/bin/bash\n{body}\n")
            (tools / name).chmod(0o755)
    environment = {"PATH": str(tools), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = ["bash", str(SCRIPT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    return done.returncode, done.stderr


JAVA_17 = """echo 'openjdk version "17.0.1" 2021-10-19' >&2"""


@pytest.mark.parametrize(
    ("java", "found"), [("", "none"), ("""echo 'java version "1.8.0_292"' >&2""", "1"), ("exit 1", "none")]
)
def test_without_java_17_it_says_so_and_how_else_to_get_kafka(java: str, found: str, tmp_path: Path) -> None:
    code, said = call(tmp_path, "up", "--folder", str(tmp_path / "k"), java=java)
    assert code == 1
    assert f"Java 17 or newer is missing (found: {found})" in said
    assert "docker compose up kafka" in said
    assert len(said.splitlines()) == 1


def test_without_mvn_it_says_so_and_how_else_to_get_kafka(tmp_path: Path) -> None:
    code, said = call(tmp_path, "up", "--folder", str(tmp_path / "k"), java=JAVA_17)
    assert code == 1
    assert "mvn is missing" in said
    assert "docker compose up kafka" in said


def test_when_mvn_cannot_fetch_its_own_words_are_shown_and_nothing_is_left(tmp_path: Path) -> None:
    code, said = call(tmp_path, "up", java=JAVA_17, mvn="echo '[ERROR] no network'; exit 1")
    assert code == 1
    assert "no network" in said
    assert list((tmp_path / "cache" / "coda" / "kafka").iterdir()) == []


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "cache" / "coda" / "kafka" / "4.1.0").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = call(tmp_path, "up", "--port", port, "--folder", str(tmp_path / "k"), java=JAVA_17)
    assert code == 1
    assert f"port {port} or" in said
    assert "choose another --port" in said


def test_what_does_not_run_is_said_and_is_not_an_error_to_stop(tmp_path: Path) -> None:
    folder = ("--folder", str(tmp_path / "k"), "--port", str(free_port()))
    assert call(tmp_path, "status", *folder)[0] == 1
    shutil.rmtree(tmp_path / "bin")
    assert call(tmp_path, "down", *folder) == (0, "")


@pytest.mark.parametrize("arguments", [[], ["start"], ["up", "--colour", "red"], ["up", "--nodes", "many"]])
def test_wrong_usage(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "cache" / "coda" / "kafka" / "4.1.0").mkdir(parents=True)
    more = ["--folder", str(tmp_path / "k")] if "--nodes" in arguments else []
    code, said = call(tmp_path, *arguments, *more, java=JAVA_17)
    assert code == 2, said
    assert os.linesep not in said.strip()
