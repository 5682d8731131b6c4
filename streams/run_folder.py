"""The folder that a run leaves behind: what it was, what came of it, and what its processes said."""

import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from wire.durable import as_storage_error, hold, make_folder, write_durably
from wire.errors import InputError

_ROOT = Path(__file__).parents[1]
_VERSIONED = ("bytewax", "confluent-kafka", "hnswlib", "iotcore", "lightgbm", "numpy", "polars", "rocksdict", "torch")


@contextmanager
def run_folder(out: Path | None, now: datetime) -> Iterator[Path]:
    """A new folder, `out` or `runs/<timestamp>`, which goes again if nothing was put into it.

    Raises `InputError` when it already holds something, `StorageError` when another run is about to fill it.
    """
    folder = _made(out) if out else _new(Path("runs") / now.strftime("%Y%m%d-%H%M%S"))
    with hold(folder):
        if any(folder.iterdir()):
            raise _holds_something(folder)
        try:
            yield folder.resolve()
        finally:
            if not any(folder.iterdir()):
                folder.rmdir()


def _made(out: Path) -> Path:
    if out.exists() and not out.is_dir():
        raise _holds_something(out)
    make_folder(out)
    return out


def _new(wanted: Path) -> Path:
    """A folder of that name, or of the next that is free: several runs may begin within a second."""
    make_folder(wanted.parent)
    folder, number = wanted, count(2)
    while True:
        try:
            folder.mkdir()
        except FileExistsError:
            folder = wanted.with_name(f"{wanted.name}-{next(number)}")
        except OSError as error:
            raise as_storage_error(error, folder) from error
        else:
            return folder


def _holds_something(folder: Path) -> InputError:
    return InputError(f"{folder} already holds something: give another folder with --out")


def write_json(path: Path, document: Any) -> None:
    """`document` as indented JSON; raises `StorageError`."""
    write_durably(path, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def environment() -> dict[str, Any]:
    """What a run depends on beside its settings: versions, commit and machine."""
    return {
        "commit": _commit(),
        "python": sys.version.split()[0],
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": {name: metadata.version(name) for name in _VERSIONED},
    }


def _commit() -> str | None:
    """The commit of the checkout, `-dirty` when files differ from it; None outside a checkout."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=_ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.strip()
