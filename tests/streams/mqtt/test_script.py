"""What `scripts/mqtt` leaves running."""

import subprocess
from pathlib import Path

import pytest

from tests.integration.stack import free_port

SCRIPT = Path(__file__).parents[3] / "scripts" / "mqtt"


@pytest.mark.servers
def test_the_broker_does_not_inherit_a_file_such_as_a_lock(tmp_path: Path) -> None:
    where = ("--port", str(free_port()), "--folder", str(tmp_path / "mqtt"))
    lock = tmp_path / "lock"
    with lock.open("w") as held:
        subprocess.run([str(SCRIPT), "up", *where], check=True, capture_output=True, pass_fds=[held.fileno()])
    try:
        files = Path("/proc") / (tmp_path / "mqtt" / "pid").read_text().strip() / "fd"
        assert lock not in {each.readlink() for each in files.iterdir()}
    finally:
        subprocess.run([str(SCRIPT), "down", *where], check=True, capture_output=True)
