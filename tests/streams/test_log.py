"""Log lines: plain, on stderr, in one form whoever writes them."""

import subprocess
import sys
from pathlib import Path

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
    root = Path(__file__).parents[2]
    said = subprocess.run([sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=True)
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
