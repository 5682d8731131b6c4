"""The cost of monitoring: CPU by the kernel's account, and a command line in which nothing is measured."""

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.monitoring import cpu_s

ROOT = Path(__file__).parents[2]
PROGRAM = """
from monitor.metrics import Metrics
from benchmarks.monitoring import run_without
code = run_without(["metrics"])
metrics = Metrics()
metrics.pooled.inc(3)
metrics.model_version.set(4)
from streams.process.pulse import Pulse
with Pulse("flow", "0", None, None, metrics): pass
print(code, metrics.values())
"""


def test_what_a_process_computed_grows_as_it_computes() -> None:
    before_s, end_s = cpu_s(os.getpid()), time.process_time() + 0.1
    while time.process_time() < end_s:
        pass
    assert 0.05 <= cpu_s(os.getpid()) - before_s < 5


def test_without_monitoring_a_command_works_and_nothing_is_counted() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "0 {}"
