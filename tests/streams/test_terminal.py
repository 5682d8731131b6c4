"""Standard streams that can't be written as they are: the command does its work and its exit code is its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAYS = """
import sys
from streams import cli
cli.COMMANDS["train-toy"] = ("tests.streams.toy_commands:command", "a toy ≥ a model … done")
cli.main()
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin1", "cp1252"])
def test_another_encoding_gets_plain_text(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAYS, "--help"],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"a toy >= a model" in done.stdout


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), (">&- 2>&-", 0), ("<&- >&- 2>&-", 3), ("2>&-", 2)])
def test_a_closed_stream_is_no_failure_and_no_file_takes_its_place(closed: str, code: int, tmp_path: Path) -> None:
    flags = "--fail input" if code == 2 else f"--code {code}"
    script = tmp_path / "toy.py"
    script.write_text(SAYS)
    command = f"{sys.executable} {script} train-toy {flags} {closed}"
    done = subprocess.run(
        ["sh", "-c", command], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (code, "")
