"""Log lines: plain, on stderr, in one form whoever writes them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams.log import LogFormat, take_log_format
from wire.errors import InputError

ROOT = Path(__file__).parents[2]

PROGRAM = """
import logging, structlog
from streams.log import set_up_logging
set_up_logging()
structlog.get_logger("streams.fleet.service").info("cloud model", version=3)
logging.getLogger("coda.kafka").info("Kafka at %s answers again", "127.0.0.1:9092")
logging.getLogger("some.library").info("noise")
logging.getLogger("some.library").warning("trouble")
structlog.get_logger("streams.fleet.service").debug("detail")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("streams.fleet.service").exception("ours")
"""


def test_lines_are_plain_and_on_stderr_and_libraries_only_warn() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout == ""
    words = [line.split(" ", 1)[1] for line in said.stderr.splitlines()[:4]]
    assert words == [
        "[info] cloud model version=3",
        "[info] Kafka at 127.0.0.1:9092 answers again",
        "[warning] trouble",
        "[error] ours",
    ]
    assert "ZeroDivisionError: division by zero" in said.stderr
    assert "\x1b" not in said.stderr
    assert "detail" not in said.stderr


def test_what_a_stranger_wrote_does_nothing_to_a_terminal() -> None:
    program = """
import structlog
from streams.log import set_up_logging
set_up_logging()
structlog.get_logger("streams").warning("refused \\x1b[2J", first="\\x1b]0;mine\\x07", number=3)
"""
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stderr
    assert said.endswith(" refused �[2J first=�]0;mine� number=3\n")


def test_as_json_each_line_is_an_object_with_what_it_is_about_by_name() -> None:
    program = PROGRAM.replace("set_up_logging()", "set_up_logging(form='json')", 1) + (
        'structlog.get_logger("streams").info("pooled is STALLED; rule: x", about={"word": "STALLED", "rule": "x"})\n'
    )
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in said.stderr.splitlines()]
    assert [line["event"] for line in lines[:3]] == ["cloud model", "Kafka at 127.0.0.1:9092 answers again", "trouble"]
    assert lines[0]["version"] == 3 and lines[0]["level"] == "info" and lines[0]["timestamp"].endswith("Z")
    assert "ZeroDivisionError" in lines[3]["exception"]
    assert (lines[4]["word"], lines[4]["rule"]) == ("STALLED", "x") and "about" not in lines[4]


def test_a_plain_line_does_not_say_twice_what_it_is_about() -> None:
    program = PROGRAM + 'structlog.get_logger("streams").info("pooled is DOWN; rule: x", about={"rule": "x"})\n'
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stderr.splitlines()[-1].endswith("[info] pooled is DOWN; rule: x")


@pytest.mark.parametrize(
    ("line", "variable", "file", "form"),
    [
        ("flow", "", "", LogFormat.PLAIN),
        ("flow", "", 'log-format = "json"\n', LogFormat.JSON),
        ("flow", "plain", 'log-format = "json"\n', LogFormat.PLAIN),
        ("flow --log-format json", "plain", "", LogFormat.JSON),
        ("--log-format=json flow", "", "", LogFormat.JSON),
    ],
)
def test_a_flag_goes_before_a_variable_and_that_before_the_file(
    line: str, variable: str, file: str, form: LogFormat, *, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "CODA_LOG_FORMAT", variable)
    (tmp_path / "coda.toml").write_text(file)
    assert take_log_format(line.split(), tmp_path / "coda.toml") == (form, ["flow"])


@pytest.mark.parametrize(
    ("flag", "said"), [("--log-format xml", "xml"), ("--log-format=xml", "xml"), ("--log-format", "empty")]
)
def test_a_format_that_is_none_is_named_with_those_that_are(flag: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"--log-format is {said}: it takes plain or json"):
        take_log_format(["flow", *flag.split()], tmp_path / "coda.toml")


def test_every_command_takes_it_from_the_file_and_refuses_nothing_else_for_it(tmp_path: Path) -> None:
    (tmp_path / "coda.toml").write_text('log-format = "json"\n[metrics]\n')
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("CODA_LOG_FORMAT", None)
    command = [sys.executable, "-m", "streams", "metrics"]
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 0 and said.stderr == ""
