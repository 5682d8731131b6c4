"""The file in which a fleet says what its devices learned: beside its state, and sent nowhere."""

from pathlib import Path

import msgspec

from device_sim.taste import Taste
from wire.errors import InputError

FILE = "tastes.json"
_FOLDERS = ("", "fleet-state", "state")  # a fleet's own, and where it is in the folder of a run


def tastes_files(folder: Path) -> list[Path]:
    """Where each process of a fleet writes them: in its --state `folder`, or in that of a run whose folder this is.

    Where there is none, one that is not there yet.
    """
    places = (folder / name for name in _FOLDERS)
    found = (sorted([*place.glob(FILE), *place.glob(f"process-*-of-*/{FILE}")]) for place in places)
    return next((files for files in found if files), [folder / FILE])


def read_tastes(file: Path) -> dict[str, Taste]:
    """By user; empty where there is no such file yet. Raises `InputError` for a damaged one."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Taste])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read ({error}): the fleet writes it anew when it starts") from error
