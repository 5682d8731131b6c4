"""What `scripts/demo` and `scripts/test` make sure of before they begin."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts" / "environment.sh"


def test_an_interpreter_may_lie_in_a_folder_with_a_space_in_its_name(tmp_path: Path) -> None:
    functions, _, _ = SCRIPT.read_text().partition("\nmake_environment\n")
    script, python = tmp_path / "a checkout" / "environment.sh", tmp_path / "my pythons" / "python"
    for file in (script, python):
        file.parent.mkdir()
    script.write_text(f"set -euo pipefail\n{functions}\nfind_python\n")
    python.symlink_to(sys.executable)
    found = subprocess.run(
        ["bash", script],
        env={"PYTHON": str(python), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.stdout, found.returncode) == (f"{python}\n", 0)
