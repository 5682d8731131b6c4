"""Streaming runbooks of big-ann-benchmarks: which vectors come and leave, and when is searched, step by step.

A file is YAML. Of each data set it has the steps by number, from 1, each with an `operation` and half-open ranges:

    insert   start, end                                vectors of these numbers come, each under its number as its tag
    delete   start, end                                what stands under these tags leaves
    replace  tags_start, tags_end, ids_start, ids_end  under each of these tags stands another vector from now on
    search                                             one set of queries is asked, the same each time

`max_pts` (how many vectors are there at most) and `gt_url` (answers to queries of the data set's own) are not needed
here. Format: `neurips23/streaming/README.md` and `benchmark/streaming/load_runbook.py` of
github.com/harsha-simhadri/big-ann-benchmarks; runbooks are in its folder `neurips23/runbooks`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml

from wire.arrays import I64
from wire.errors import InputError

RANGES: dict[str, tuple[str, ...]] = {
    "insert": ("start", "end"),
    "delete": ("start", "end"),
    "replace": ("tags_start", "tags_end", "ids_start", "ids_end"),
    "search": (),
}
BESIDE = ("max_pts", "gt_url")
NOTHING = -1
# Of 19 batches of an expiration runbook one stays, three live long, 15 short: as in those of big-ann-benchmarks, whose
# lives are parts of the run that differ from file to file.
LIVES, STAY, LONG = 19, 1, 3
LONG_SHARE, SHORT_SHARE = 1 / 2, 1 / 5


@dataclass(frozen=True)
class Step:
    """The vectors that leave, and those that come after that, by number; a search where there are neither."""

    deleted: I64
    inserted: I64

    @property
    def search(self) -> bool:
        """Whether queries are asked."""
        return not len(self.deleted) and not len(self.inserted)


@dataclass(frozen=True)
class Runbook:
    """Steps, numbered from 1; each vector comes once at most."""

    name: str
    steps: tuple[Step, ...]

    @cached_property
    def vectors(self) -> int:
        """How many vectors it takes: their numbers are below this."""
        return 1 + max(int(step.inserted.max(initial=-1)) for step in self.steps)

    @cached_property
    def most(self) -> int:
        """How many vectors are there at most."""
        change = [(-len(step.deleted), len(step.inserted)) for step in self.steps]
        return int(np.cumsum(np.array(change).ravel()).max())

    def came(self) -> I64:
        """The step at which each vector comes (vectors,); 0 for those that never do."""
        return self._steps_of("inserted")

    def left(self) -> I64:
        """The step at which each vector leaves (vectors,); 0 for those that stay."""
        return self._steps_of("deleted")

    def _steps_of(self, what: str) -> I64:
        at = np.zeros(self.vectors, np.int64)
        for number, step in enumerate(self.steps, 1):
            at[getattr(step, what)] = number
        return at


def read_runbook(path: Path, dataset: str | None = None) -> Runbook:
    """The steps of one data set of a file, which may be left out when there is one only; raises `InputError`."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} is no runbook: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict) or not document:
        raise InputError(f"{path} is no runbook: it has to name a data set and its steps")
    if dataset is None and len(document) > 1:
        raise InputError(f"{path} has several data sets, say which: --dataset {' | '.join(map(str, document))}")
    name = str(next(iter(document))) if dataset is None else dataset
    if not isinstance(entries := document.get(name), dict):
        raise InputError(f"{path} has no steps of {name}: it has {', '.join(map(str, document))}")
    return runbook_of(name, entries)


def runbook_of(name: str, entries: Mapping[Any, Any]) -> Runbook:
    """The steps of one data set, as YAML has them; raises `InputError` for whatever it does not know."""
    numbers = [key for key in entries if key not in BESIDE]
    if strange := [key for key in numbers if type(key) is not int]:
        raise InputError(f"{name} has {strange[0]!r} among its steps: take a runbook of numbered steps alone")
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        raise InputError(f"{name} has steps {min(numbers)} to {max(numbers)} with gaps: they have to count from 1")
    told = [_operation(f"step {number} of {name}", entries[number]) for number in sorted(numbers)]
    tags = _Tags(max((each.stop for _, ranges in told for each in ranges), default=0))
    runbook = Runbook(name, tuple(tags.step(f"step {at} of {name}", *what) for at, what in enumerate(told, 1)))
    if not any(len(step.inserted) for step in runbook.steps) or not any(step.search for step in runbook.steps):
        raise InputError(f"{name} inserts nothing or never searches: there is nothing to measure")
    return runbook


def _operation(where: str, entry: Any) -> tuple[str, list[range]]:
    """What a step does, and with which ranges."""
    operation = entry.get("operation") if isinstance(entry, dict) else None
    if operation not in RANGES:
        raise InputError(f"{where} is {operation or entry!r}: only {', '.join(RANGES)} are known")
    if set(entry) != {"operation", *RANGES[operation]}:
        said = ", ".join(map(str, entry))
        raise InputError(f"{where} says {said}: {operation} takes {', '.join(RANGES[operation]) or 'nothing'}")
    bounds = [entry[bound] for bound in RANGES[operation]]
    if not all(type(bound) is int for bound in bounds):
        raise InputError(f"{where} has bounds {bounds}: they have to be whole numbers")
    ranges = [range(start, end) for start, end in zip(bounds[::2], bounds[1::2], strict=True)]
    if not all(0 <= each.start < each.stop for each in ranges) or len(set(map(len, ranges))) > 1:
        raise InputError(f"{where} has bounds {bounds}: they have to be ranges of one length that are not empty")
    return operation, ranges


class _Tags:
    """Which vector stands under each of `size` tags, step by step."""

    def __init__(self, size: int) -> None:
        self._vector = np.full(size, NOTHING)
        self._came = np.zeros(size, np.bool_)

    def step(self, where: str, operation: str, ranges: list[range]) -> Step:
        gone = come = np.zeros(0, np.int64)
        if operation in ("delete", "replace"):
            gone = self._delete(where, np.array(ranges[0]))
        if operation in ("insert", "replace"):
            come = self._insert(where, np.array(ranges[0]), np.array(ranges[-1]))
        return Step(gone, come)

    def _delete(self, where: str, tags: I64) -> I64:
        gone: I64 = self._vector[tags]
        if (missing := gone == NOTHING).any():
            raise InputError(f"{where} deletes or replaces {tags[missing][0]}, which is not there")
        self._vector[tags] = NOTHING
        return gone

    def _insert(self, where: str, tags: I64, vectors: I64) -> I64:
        if (again := self._came[vectors]).any():
            raise InputError(f"{where} inserts {vectors[again][0]} again: take a runbook where each vector comes once")
        self._came[vectors] = True
        self._vector[tags] = vectors
        return vectors


def sliding_window(live: int, batches: int) -> Runbook:
    """Half of the batches come; then, for each of the others, a search, the oldest leaves, it comes: the rule of
    `generate_msturing10m_runbooks.py`, with `live` vectors there."""
    size, fill = 2 * live // batches, batches // 2
    made: list[dict[str, Any]] = []
    for batch in range(batches):
        if batch >= fill:
            made += [{"operation": "search"}, _batch("delete", batch - fill, size)]
        made.append(_batch("insert", batch, size))
    return runbook_of("sliding window", dict(enumerate([*made, {"operation": "search"}], 1)))


def expiration(live: int, batches: int, seed: int) -> Runbook:
    """Batch by batch comes, those leave whose time has come, and is searched: the rule of
    `gen_expiration_time_runbook.py`, with about `live` vectors there in the end.

    A batch stays, or leaves after `LONG_SHARE` or `SHORT_SHARE` of all batches, by draw.
    """
    short = LIVES - STAY - LONG
    size = round(live / batches / ((STAY + LONG * LONG_SHARE + short * SHORT_SHARE) / LIVES))
    rng, leaving = Random(seed), dict[int, list[int]]()
    made: list[dict[str, Any]] = []
    for batch in range(batches):
        made.append(_batch("insert", batch, size))
        if (drawn := rng.randrange(LIVES)) >= STAY:
            life = LONG_SHARE if drawn < STAY + LONG else SHORT_SHARE
            leaving.setdefault(batch + round(life * batches), []).append(batch)
        made += [_batch("delete", old, size) for old in leaving.get(batch, [])]
        made.append({"operation": "search"})
    return runbook_of("expiration", dict(enumerate(made, 1)))


def _batch(operation: str, batch: int, size: int) -> dict[str, Any]:
    return {"operation": operation, "start": batch * size, "end": (batch + 1) * size}
