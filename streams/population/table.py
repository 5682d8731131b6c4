"""Reads a population as people write it, in TOML: how many percent, which law, or the file of a recording."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from streams.faults.units import Share, convert
from streams.faults.whose import Devices
from streams.population.axis import DAY_S, Axis, Constant, Law, LogNormal, Recorded
from streams.population.fedscale import read_fedscale
from streams.population.flash import read_flash
from streams.population.population import EVERYONE, Population
from streams.population.trace import Trace, Traces
from streams.population.transitions import read_transitions
from streams.shipped import find_text, shipped_in
from streams.times import Duration
from wire.errors import InputError

PRESETS = Path(__file__).parent / "presets"
AXES = ("availability", "connectivity", "completeness", "responsiveness")
_READERS: Mapping[str, Callable[[bytes, str], dict[str, Trace]]] = {
    "transitions": read_transitions,
    "fedscale": read_fedscale,
    "flash": read_flash,
}


class _AxisTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    """One axis."""


class _ConstantTable(_AxisTable, frozen=True, tag="constant"):
    level: Share


class _LawTable(_AxisTable, frozen=True, tag="law"):
    """`q` and `times` (a day) are medians over devices, their `sigma` is of the logarithm."""

    q: float = 1.0
    q_sigma: float = 0.0
    times: float | None = None
    times_sigma: float = 0.0
    swing: float = 0.4
    base: float = 0.5
    peak: Duration = Duration(DAY_S / 4)


class _TraceTable(_AxisTable, frozen=True, tag="trace"):
    file: str
    format: Literal["transitions", "fedscale", "flash"]


_Table = _ConstantTable | _LawTable | _TraceTable


class PopulationTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What can be said of a population; `day` is how long one of its days takes, `cites` whose numbers these are."""

    cites: str = ""
    availability: _Table = _ConstantTable(level=Share(1))
    connectivity: _Table = _ConstantTable(level=Share(1))
    completeness: _Table = _ConstantTable(level=Share(1))
    responsiveness: _Table = _ConstantTable(level=Share(1))
    slowest: Duration = Duration(0)
    clock: Duration = Duration(0)
    day: Duration = Duration(DAY_S)
    starts: Duration | None = None


def presets() -> list[str]:
    """The names of the populations that come with the package."""
    return shipped_in(PRESETS)


def find_table(name: str) -> dict[str, Any]:
    """The table of a preset by its name, or of a TOML file by its path; raises `InputError`."""
    path, text = find_text(name, PRESETS, "known population")
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path} is no TOML: {error}") from error
    for axis in AXES:
        if isinstance(table.get(axis), dict) and isinstance(file := table[axis].get("file"), str):
            table[axis]["file"] = str((path.parent / file).resolve())
    return table


def population(table: Mapping[str, Any], where: str, seed: int, members: Devices = EVERYONE) -> Population:
    """The people that `table` describes, their recordings read; raises `InputError` that begins with `where`."""
    spelt = dict(table)
    for name in AXES:
        if name in table and not isinstance(table[name], dict):
            spelt[name] = {"kind": "constant", "level": table[name]}
    try:
        read: PopulationTable = convert(spelt, PopulationTable)
        if read.day <= 0:
            raise InputError("day is nothing: leave it out for 24 hours")
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return Population(
        seed=seed,
        **{name: _axis(getattr(read, name), name, seed) for name in AXES},
        slowest_s=read.slowest,
        clock_s=read.clock,
        day_s=read.day,
        starts_s=read.starts or 0.0,
        members=members,
    )


def _axis(table: _Table, name: str, seed: int) -> Axis:
    if isinstance(table, _ConstantTable):
        return Constant(name, seed, table.level)
    if isinstance(table, _TraceTable):
        return Recorded(Traces(read_traces(Path(table.file), table.format), seed))
    return Law(
        name,
        seed,
        q=LogNormal(table.q, table.q_sigma),
        times=LogNormal(table.times, table.times_sigma) if table.times is not None else None,
        swing=table.swing,
        base=table.base,
        peak_s=table.peak,
    )


def read_traces(path: Path, kind: str) -> dict[str, Trace]:
    """The traces in a file, at least one; raises `InputError` that names file and line."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    traces = _READERS[kind](raw, str(path))
    if not traces:
        raise InputError(f"{path}: there are no devices in it")
    return traces
