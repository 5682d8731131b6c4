"""What a device learned, in words for its page: read where the fleet runs, as nothing of it comes through the cloud."""

import math
from collections.abc import Iterable
from pathlib import Path

from device_sim.taste import Taste
from streams.fleet.taste_file import read_tastes, tastes_files
from wire.errors import InputError

ELSEWHERE = (
    "not known here: nothing personal ever goes up to the cloud. "
    "On the machine of the fleet, coda dashboard --fleet FOLDER reads it from the fleet's --state"
)


class FleetFolder:
    """The folder of a fleet on this machine, or of its run; raises `InputError` when it is none."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"--fleet {folder} is no folder: give the --state of a fleet, or the folder of its run")
        self._folder = folder
        self._read: dict[Path, tuple[int, dict[str, Taste]]] = {}  # with when it was written

    def words(self, user_id: str) -> list[str]:
        """What the device learned, a line each; or why nothing can be said."""
        files = tastes_files(self._folder)
        try:
            for tastes in map(self._tastes, files):
                if user_id in tastes:
                    return words(tastes[user_id])
        except InputError as error:
            return [str(error)]
        where = " and ".join(str(file) for file in files)
        return [f"nothing yet: {where} does not speak of it before it has trained"]

    def _tastes(self, file: Path) -> dict[str, Taste]:
        written = file.stat().st_mtime_ns if file.exists() else 0
        if file not in self._read or self._read[file][0] != written:
            self._read[file] = written, read_tastes(file)
        return self._read[file][1]


def words(taste: Taste) -> list[str]:
    """A taste, a line for each kind.

    >>> words(Taste(2, 120, [], [("dairy", .5), ("meat", -.7)], [("milk", "dairy", 9)]))[:2]
    ['comes back to milk (dairy; taken 9 times)', 'likes dairy (odds × 1.6) more than others']
    """
    items = [(f"{name} ({category}; ", weight) for name, category, weight in taste.items]
    categories = [(f"{name} (", weight) for name, weight in taste.categories]
    lines = [
        ("comes back to", [f"{name} ({category}; taken {times} times)" for name, category, times in taste.returns], ""),
        ("likes", _odds(categories, 1), " more than others"),
        ("cares for", _odds(categories, -1), " less than others"),
        ("of single items likes", _odds(items, 1), " more than others"),
        ("of single items cares for", _odds(items, -1), " less than others"),
    ]
    told = [f"{verb} {_listed(parts)}{than}" for verb, parts, than in lines if parts]
    source = f"{taste.samples:,} own samples, beside version {taste.version} of the cloud model"
    return [*(told or ["nothing that stands out"]), f"learned from {source}"]


def _odds(weights: Iterable[tuple[str, float]], sign: int) -> list[str]:
    times = "×" if sign > 0 else "÷"
    return [f"{begun}odds {times} {math.exp(abs(weight)):.1f})" for begun, weight in weights if weight * sign > 0]


def _listed(parts: list[str]) -> str:
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)
