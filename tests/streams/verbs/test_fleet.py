"""How `coda fleet` is told to end."""

import signal
import subprocess
import sys

WAITS = """
import asyncio, signal
from streams.verbs.fleet import _signals

async def never_ends():
    with _signals((signal.SIGINT, signal.SIGTERM), lambda: print("ending", flush=True)):
        print("running", flush=True)
        await asyncio.sleep(60)

asyncio.run(never_ends())
"""


def test_a_second_ctrl_c_ends_a_fleet_whose_end_takes_long() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as fleet:
        assert fleet.stdout is not None and fleet.stderr is not None
        for word in ("running", "ending"):
            assert fleet.stdout.readline().strip() == word
            fleet.send_signal(signal.SIGINT)
        assert fleet.wait(20) == 128 + signal.SIGINT
        assert "it goes on from its last snapshot" in fleet.stderr.read()
