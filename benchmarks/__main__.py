"""All benchmarks, one after the other: `python -m benchmarks --out runs/benchmarks`.

Each prints its table and leaves its JSON in the folder; `machine.json` says what they ran on and under what load.
Run it on a machine that does nothing else. One of them alone: `python -m benchmarks.pool --help`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

NAMES = (
    "pool",
    "shards",
    "pool_sizes",
    "graph",
    "runbook",
    "training",
    "devices",
    "flow",
    "alternatives",
    "model_change",
    "new_model",
    "freshness",
    "idle",
    "scoring",
    "push",
    "delay",
    "storm",
    "soak",
    "users",
)


def main() -> None:
    """Run all that are named; exit code 1 when one of them fails or misses a target that it checks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(NAMES), metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "machine.json").write_text(json.dumps(machine(), indent=2) + "\n")
    failed = [name for name in given.names if not run(name, given.out / f"{name}.json")]
    if failed:
        sys.exit(f"failed, or missed a target: {', '.join(failed)}")


def run(name: str, out: Path) -> bool:
    """One benchmark in a process of its own, so that none inherits another's memory or threads."""
    print(f"\n== {name}, load {os.getloadavg()[0]:.1f}", flush=True)
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}", "--json", str(out)], check=False).returncode == 0


def machine() -> dict[str, object]:
    """What the figures hold for."""
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    return {
        "processor": model.partition(": ")[2],
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    main()
