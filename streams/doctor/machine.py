"""This machine: Python, packages, disk, memory, open files, ports."""

import os
import re
import resource
import shutil
import socket
import sys
from importlib import import_module, metadata
from pathlib import Path

from streams.doctor.finding import Finding, at_least

# What is compiled on this machine, where a missing compiler or library shows at the first import.
_COMPILED = ("hnswlib", "rocksdict", "bytewax", "torch", "lightgbm")
_FILES = 4096  # a connection per device, and as many again for RocksDB, Kafka and logs


def machine(distribution: str) -> list[Finding]:
    """What this machine has of what `distribution` needs."""
    return [python(), packages(distribution), compiled(), disk(Path.cwd()), memory(), open_files(), loopback()]


def python() -> Finding:
    """Whether this Python is one that all packages have wheels for."""
    version = sys.version.split()[0]
    fits = (3, 11) <= sys.version_info[:2] < (3, 13)
    return Finding("Python", "ok" if fits else "fail", version, "" if fits else "use 3.11 or 3.12")


def packages(distribution: str) -> Finding:
    """Whether every pinned package is installed in its version."""
    pinned = [re.match(r"([\w.-]+)==([\w.]+)$", each) for each in metadata.requires(distribution) or []]
    # What comes after a plus is how it was built: torch's 2.15.0+cpu is its 2.15.0, as pip says, too.
    odd = [(m[1], m[2], found) for m in pinned if m and (found := _version(m[1])).partition("+")[0] != m[2]]
    if not odd:
        return Finding("packages", "ok", f"{sum(map(bool, pinned))} as pinned")
    told = ", ".join(f"{name} {found}, not {wanted}" for name, wanted, found in odd)
    return Finding("packages", "warn", told, "install what pyproject.toml pins: pip install -e .")


def compiled() -> Finding:
    """Whether what is compiled here can be loaded."""
    for name in _COMPILED:
        try:
            import_module(name)
        except (ImportError, OSError) as error:  # lightgbm loads its library itself
            remedy = "install it again; it takes a C++ compiler and Python.h (apt-get install g++ python3-dev)"
            return Finding("compiled packages", "fail", f"{name} can't be loaded ({error})", remedy)
    compiler = shutil.which("c++") or shutil.which("g++")
    return Finding("compiled packages", "ok", f"all load; C++ compiler: {compiler or 'none, and none is needed now'}")


def disk(folder: Path) -> Finding:
    """Room where runs are kept."""
    free_gb = shutil.disk_usage(folder).free / 1e9
    return at_least(f"disk at {folder}", free_gb, warn=5, fail=1, unit="GB free", remedy="make room, or run elsewhere")


def memory(machine: Path = Path("/proc/meminfo"), container: Path = Path("/sys/fs/cgroup")) -> Finding:
    """Memory that processes can have; a demo takes some 3 GB."""
    try:
        words = machine.read_text()
    except OSError:
        return Finding("memory", "ok", "this system does not tell")
    free = 1024 * int(re.findall(r"MemAvailable:\s+(\d+)", words)[0])
    remedy = "end something else, or give --devices a smaller number"
    left_gb = min(free, _left_to(container)) / 1e9
    return at_least("memory", left_gb, warn=3, fail=1, unit="GB available", remedy=remedy)


def _left_to(container: Path) -> float:
    """What a container with a limit may still take, files that are kept in memory and may go being none of it."""
    try:
        most, taken, kinds = ((container / f"memory.{name}").read_text() for name in ("max", "current", "stat"))
        may_go = re.findall(r"inactive_file (\d+)", kinds)[0]
        return max(0, int(most) - int(taken) + int(may_go))
    except (OSError, ValueError, IndexError):  # there is no limit ("max"), or this system has none
        return float("inf")


def open_files() -> Finding:
    """How many files a process may have open: each device has a connection."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = float(limit) if limit != resource.RLIM_INFINITY else float("inf")
    remedy = f"raise it for more than some {limit // 2:,} devices: ulimit -n {2 * _FILES}"
    return at_least("open files", most, warn=_FILES, fail=256, unit="at most", remedy=remedy)


def loopback() -> Finding:
    """Whether a port can be had on 127.0.0.1, as the embedded brokers and metrics need it."""
    try:
        with socket.create_server(("127.0.0.1", 0)):
            return Finding("ports", "ok", f"there are free ones; {os.cpu_count()} cores")
    except OSError as error:
        return Finding("ports", "fail", f"none can be had on 127.0.0.1 ({error})", "see what holds them: ss -ltn")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
