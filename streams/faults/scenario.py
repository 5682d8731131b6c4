"""A scenario: what breaks, when and for whom, read from a TOML file. Mistakes in it are one line that says where."""

import tomllib
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from streams.faults.people import People
from streams.faults.process_faults import AnyProcessFault, DiskFull, Kill
from streams.faults.toxics import AnyToxic, Toxic
from streams.faults.units import Share, convert
from streams.population.table import find_table, population
from streams.shipped import find_text, shipped_in
from streams.times import Duration
from wire.errors import InputError

SHIPPED = Path(__file__).parent / "scenarios"
Fault = AnyToxic | AnyProcessFault | People
Spread = Literal["burst", "linear", "exponential"]


class Placed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When and for whom a fault is: `at` counts from the begin of its stage.

    `share` or `group` say whose connections; without either it is about all, the fleet's own included. `link` is
    which side of the MQTT broker, or what all our processes have to Kafka. The devices fall out all at once (`burst`),
    or one after the other `over` some time: evenly (`linear`), or twice as many each time (`exponential`).
    """

    at: Duration = Duration(0)
    lasts: Duration = msgspec.field(name="for", default=Duration(0))
    share: Share | None = None
    group: str | None = None
    link: Literal["devices", "tunnel", "kafka"] = "devices"
    spread: Spread = "burst"
    over: Duration = Duration(0)


class Planned(msgspec.Struct, frozen=True):
    """One fault of a stage, and where it is placed."""

    fault: Fault
    placed: Placed


class Stage(msgspec.Struct, frozen=True):
    """What happens at the same time; the next stage begins when it is over."""

    faults: tuple[Planned, ...]
    lasts_s: float


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of it. `events` of the log's initial part, or all; `seconds` of live stream, in which the stages fall.

    `expiry_s` is how long a batch is worth delivering, None for as long as the tunnel thinks by itself; `refreshes` is
    how often over the live stream a new cloud model is tried.
    """

    name: str
    teaches: str = ""
    log: str = "ml-100k"
    events: int | None = None
    devices: int | None = None
    seconds: Duration = Duration(60)
    seed: int = 0
    begins_s: Duration = msgspec.field(name="begins", default=Duration(5))
    healed_within_s: Duration = msgspec.field(name="healed_within", default=Duration(60))
    expiry_s: Duration | None = msgspec.field(name="expiry", default=None)
    refreshes: Annotated[int, msgspec.Meta(ge=1)] = 3
    groups: Mapping[str, Share] = msgspec.field(name="group", default_factory=dict)
    stages: tuple[Stage, ...] = msgspec.field(name="stage", default=())

    @property
    def kafka_nodes(self) -> int:
        """The highest number of a node of Kafka that it names, 0 without any."""
        names = [getattr(planned.fault, "process", "") for planned in self._planned()]
        return max((int(name[-1]) for name in names if name.startswith("kafka-")), default=0)

    @property
    def breaks_kafka(self) -> bool:
        """Whether it is about Kafka's processes or connections."""
        return self.kafka_nodes > 0 or any(planned.placed.link == "kafka" for planned in self._planned())

    @property
    def fills_a_disk(self) -> bool:
        """Whether it fills up the disk of the pool."""
        return any(isinstance(planned.fault, DiskFull) for planned in self._planned())

    def _planned(self) -> Iterator[Planned]:
        return chain.from_iterable(stage.faults for stage in self.stages)


class _StageTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fault: list[dict[str, Any]]
    lasts: Duration | None = msgspec.field(name="for", default=None)


class _StageTables(msgspec.Struct, frozen=True):
    stage: list[_StageTable]


def find_scenario(name: str) -> Scenario:
    """A shipped scenario by its name, or one by its path; raises `InputError`."""
    path, text = find_text(name, SHIPPED, "shipped scenario")
    return read_scenario(text, str(path))


def shipped() -> list[str]:
    """The names of the scenarios that come with the package."""
    return shipped_in(SHIPPED)


def read_scenario(text: str, where: str) -> Scenario:
    """The scenario in `text`; raises `InputError` with `where` it was found."""
    try:
        document = tomllib.loads(text)
        tables: _StageTables = convert(document, _StageTables)
        read: Scenario = convert({k: v for k, v in document.items() if k != "stage"}, Scenario)
        stages = tuple(_stage(stage, read.groups) for stage in tables.stage)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{where} is no TOML: {error}") from error
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    if (together := sum(read.groups.values())) > 1 + 1e-9:  # as .33 + .56 + .11 are
        raise InputError(f"{where}: its groups, none of which has a device of another, add up to {together:.0%}")
    scenario = msgspec.structs.replace(read, teaches=" ".join(read.teaches.split()), stages=stages)
    if (lasts_s := length_s(scenario)) > scenario.seconds:
        raise InputError(
            f'{where}: its faults last until {lasts_s:g} s, its stream {scenario.seconds:g} s: give it more "seconds"'
        )
    return scenario


def length_s(scenario: Scenario) -> float:
    """When the last stage is over, from the begin of the live stream."""
    return scenario.begins_s + sum(stage.lasts_s for stage in scenario.stages)


def dropping(share: Share, lasts: Duration, seconds: int, seed: int = 0) -> Scenario:
    """The shortest one: a share of all devices without a link for some time, in the middle of `seconds`."""
    if not share or not lasts:
        raise InputError("--drop and --for have to be more than nothing, as in --drop 30% --for 60s")
    if lasts > 0.8 * seconds:
        raise InputError(f"--for {lasts:g}s leaves too little of --live {seconds}s: give --live {round(lasts / 0.5)}s")
    placed = Placed(lasts=lasts, share=share)
    stage = Stage((Planned(find_fault({"kind": "down"}), placed),), lasts)
    return Scenario(
        name=f"{share:.0%} of devices dropped for {lasts:g} s",
        seconds=Duration(seconds),
        seed=seed,
        begins_s=Duration((seconds - lasts) / 3),
        stages=(stage,),
    )


def peopled(like: str, seconds: int, seed: int = 0) -> Scenario:
    """Devices are people of `like` for most of `seconds`: two days of theirs, unless they say how long one is.

    Raises `InputError`.
    """
    lasts_s = round(0.8 * seconds, 1)
    day = None if "day" in find_table(like) else f"{lasts_s / 2:g}s"
    people = People(like=like, day=day)
    population(people.table, like, seed)
    stage = Stage((Planned(people, Placed(lasts=Duration(lasts_s))),), lasts_s)
    length, begins = Duration(seconds), Duration(0.1 * seconds)
    return Scenario(name=f"devices of {like}", seconds=length, seed=seed, begins_s=begins, stages=(stage,))


def find_fault(table: Mapping[str, Any]) -> Fault:
    """The fault that a table describes; raises `InputError`."""
    kinds = [kind.__struct_config__.tag for kind in _kinds()]
    kind = table.get("kind")
    if kind not in kinds:
        raise InputError(f"there is no fault of kind {kind!r}: write one of {', '.join(map(str, kinds))}")
    fault: Fault = convert(table, Fault)
    return fault


def _kinds() -> tuple[Any, ...]:
    return Fault.__args__


def _stage(table: _StageTable, groups: Mapping[str, Share]) -> Stage:
    faults = tuple(_planned(fault, groups) for fault in table.fault)
    if not faults:
        raise InputError("a stage without faults: give it [[stage.fault]]")
    ends = [f.placed.at + f.placed.lasts + f.placed.over + _repeated_s(f.fault) for f in faults]
    return Stage(faults, max([*ends, table.lasts or 0.0]))


def _repeated_s(fault: Fault) -> float:
    """From the first time to the last one."""
    return (fault.times - 1) * fault.every if isinstance(fault, Kill) else 0.0


def _planned(table: dict[str, Any], groups: Mapping[str, Share]) -> Planned:
    names = {field.encode_name for field in msgspec.structs.fields(Placed)}
    placed = convert({k: v for k, v in table.items() if k in names}, Placed)
    fault = find_fault({k: v for k, v in table.items() if k not in names})
    if placed.group is not None and placed.group not in groups:
        raise InputError(f'there is no group {placed.group!r}: name it in [group], as {placed.group} = "30%"')
    if placed.group is not None and placed.share is not None:
        raise InputError("a fault is of a share or of a group, not both")
    if placed.link == "kafka" and (placed.group or placed.share is not None):
        raise InputError("a share or group is of devices, and none of them is connected to Kafka: leave it out")
    if not isinstance(fault, Toxic | People) and (placed.group or placed.share is not None):
        raise InputError(
            f"{fault.__struct_config__.tag} is about a process, not about devices: leave out share or group"
        )
    if isinstance(fault, People):
        population(fault.table, "its population", 0)
    if isinstance(fault, Toxic | People) and not placed.lasts:
        raise InputError(f'{fault.__struct_config__.tag} has no end: say how long it lasts, as for = "10s"')
    return Planned(fault, placed)
