"""`scripts/kafka`, as tests call it."""

import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "scripts" / "kafka"


def kafka_script(*arguments: str) -> str:
    """What the script prints; fails with its own words."""
    done = subprocess.run([str(SCRIPT), *arguments], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"scripts/kafka {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout
