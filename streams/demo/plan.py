"""What the demo is going to do, worked out before anything starts: where history ends, all command lines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from streams.demo.stack import StackName
from streams.faults.crowd import ORDERS
from streams.faults.scenario import Scenario
from streams.kafka.topics import FLEET_GROUP, FLOW_GROUP
from streams.logs.check import LogCheck, check_log
from streams.logs.data import NAMED_LOGS, as_log, find_log, get_log, log_with_negatives, uniform_log, write_log
from streams.logs.event_log import EventLog, load_log
from streams.logs.negatives import Sampling
from streams.logs.options import AS_FOUND, LogOptions
from wire.errors import InputError
from wire.status import Role

INITIAL_SHARE = 0.6  # of the log: history, which the first cloud model learns from; the rest is the live part
REFRESHES = 3  # cloud model versions tried over the live part
WINDOW_DAYS = 90  # of the pool: as far back as a device's own window reaches (wire.task.Task.window_age_ms)
CANDIDATES = 400  # 5 kB a batch: of the default's 20 kB the embedded Kafka keeps 250 per partition, too few here
LEAST_EACH = 20  # events of each device that a scenario asks for: 12 of them history, so that it has heads
SERVICES = {"train-cloud": Role.TRAINER, "flow": Role.FLOW, "tunnel": Role.TUNNEL, "fleet": Role.FLEET}


@dataclass(frozen=True)
class DemoSettings:
    """What a user can ask of the demo; `devices` None is one for every user of the log, `seconds` is the live part.

    `base` is what devices add to, of `streams.base.scored.LIVE`; None is the first of these that there is. With
    `classifier` devices train a sample classifier.
    With a `scenario` things are broken on purpose, and devices are the origin of their events: only so can an event
    be late, or lost, because its device is away.
    """

    log: str = "groceries"
    devices: int | None = None
    seconds: int = 110
    seed: int = 0
    options: LogOptions = AS_FOUND
    negatives: int = 0
    scenario: Scenario | None = None
    stack: StackName = "embedded"
    base: str | None = None
    classifier: bool = False

    @property
    def through_devices(self) -> bool:
        """Whether devices upload the events themselves."""
        return self.scenario is not None

    @property
    def kafka_nodes(self) -> int:
        """How many nodes of Kafka there are to be: as many as the scenario names."""
        return max(1, self.scenario.kafka_nodes if self.scenario is not None else 1)

    def checked(self) -> "DemoSettings":
        """The settings themselves; raises `InputError` when one makes no sense."""
        if self.devices is not None and self.devices < 1:
            raise InputError(f"--devices is {self.devices}: give it at least 1, or all")
        if self.seconds < 1:
            raise InputError(f"--live is {self.seconds}s: give it at least 1s")
        if self.stack == "embedded" and self.scenario is not None and self.scenario.breaks_kafka:
            raise InputError(f"{self.scenario.name} breaks Kafka, which is embedded here: give --stack servers")
        return self


@dataclass(frozen=True)
class Log:
    """The log to replay: history is before `live_from_ms`, the live part up to `last_ms` (event time)."""

    path: Path
    events: int
    history: int
    users: int
    live_from_ms: int
    last_ms: int

    def speed(self, seconds: int) -> float:
        """Event time per wall-clock time that fits the live part into `seconds`."""
        return max((self.last_ms - self.live_from_ms) / 1000 / seconds, 1e-3)

    def refresh_s(self, refreshes: int) -> int:
        """Event time between tries to make a better cloud model, in seconds, for so many of them."""
        return max(round((self.last_ms - self.live_from_ms) / 1000 / (refreshes + 0.5)), 1)


def played(path: Path, settings: DemoSettings, scenario: Scenario, folder: Path) -> Path:
    """The part of the log at `path` that a scenario plays: `path` itself, or a log of its own in `folder`.

    For what goes through devices: only users with a device do anything, so the log is theirs alone.
    """
    frame = load_log(path)
    if settings.devices is None:
        if scenario.events is None or scenario.events >= len(frame):
            return path
        frame = frame.head(scenario.events)
    else:
        users = frame["user_id"].unique(maintain_order=True).head(settings.devices)
        if len(users) < settings.devices:
            raise InputError(
                f"{settings.log} has {len(users):,} users: give --devices at most {len(users)}, or another --log"
            )
        frame = frame.filter(pl.col("user_id").is_in(users.implode()))
        if scenario.events is not None:
            frame = side_by_side(frame, max(LEAST_EACH, scenario.events // settings.devices))
    write_log(as_log(frame), part := folder / "part.parquet")
    return part


def paced(log: Log, seconds: int, folder: Path) -> Log:
    """A log in `folder` whose live part is as long as the run.

    In a replay at thousands of times event time a device that is away for a second would be hours late, as nobody is,
    and those that are not would seem to be ahead of all others.
    """
    frame = load_log(log.path)
    times = frame["timestamp"].to_numpy()
    live_ms = max(int(times[-1] - times[int(INITIAL_SHARE * len(times))]), 1)
    short = times[0] + ((times - times[0]) * (seconds * 1000 / live_ms)).astype(np.int64)
    write_log(as_log(frame.with_columns(pl.Series("timestamp", short))), path := folder / "log.parquet")
    return open_log(path)


def side_by_side(frame: pl.DataFrame, each: int) -> pl.DataFrame:
    """The first so many events of each user, spread over the log's time: all users are there from the beginning on.

    Users of many logs come one after the other, and of a thousand devices only a few would be there at once.
    """
    number = pl.int_range(pl.len()).over("user_id")
    frame = frame.filter(number < each)
    turn = pl.col("user_id").rank("dense") / pl.col("user_id").n_unique()
    share = (number + turn) / (pl.len().over("user_id") + 1)
    first, last = pl.col("timestamp").min(), pl.col("timestamp").max()
    spread = frame.with_columns(timestamp=(first + share * (last - first)).cast(pl.Int64))
    return spread.sort("timestamp", maintain_order=True)


def checked_log(settings: DemoSettings, say: Callable[[str], None]) -> tuple[LogCheck, Path]:
    """What the log holds, and a file of it as all commands read one, with sampled negatives if they were asked for.

    A log by name is fetched when it is not here yet. Raises `InputError` for one that can't be used.
    """
    found = get_log(NAMED_LOGS[settings.log], say) if settings.log in NAMED_LOGS else find_log(settings.log)
    check = check_log(EventLog(found, settings.options))
    read_as = check.read_as.replace(str(found), settings.log)  # where a cache is, is no news
    check = replace(check, read_as=read_as, negatives=settings.negatives)
    unusable = not check.events or not check.positives or (check.positives == check.events and not settings.negatives)
    for line in check.lines():
        if not (unusable and line == check.verdict):  # which is what the error says
            say(line)
    if unusable:
        raise InputError(f"{settings.log}: {check.verdict}")
    path = uniform_log(found.resolve(), settings.options, say)
    sampling = Sampling(settings.negatives, seed=settings.seed) if settings.negatives else None
    return check, log_with_negatives(path, sampling, say) if sampling else path


def open_log(path: Path) -> Log:
    """The log of a uniform file with events of both labels; raises `InputError` when it can't be split."""
    events = load_log(path)
    times = events["timestamp"]
    live_from_ms = int(times[int(INITIAL_SHARE * len(times))])
    history = int((times < live_from_ms).sum())
    if not history:
        raise InputError(f"{path} has too few distinct times to be split into history and live part")
    return Log(
        path=path,
        events=len(times),
        history=history,
        users=events["user_id"].n_unique(),
        live_from_ms=live_from_ms,
        last_ms=int(times[-1]),
    )


@dataclass(frozen=True)
class Brokers:
    """Where the brokers are, as host:port; `devices` is the MQTT broker as devices see it, "" for as all see it."""

    kafka: str
    mqtt: str
    devices: str = ""


def commands(settings: DemoSettings, log: Log, brokers: Brokers, folder: Path) -> dict[str, Sequence[str]]:
    """The command line of every process by name: the four services, then the two replays."""
    kafka = ("--bootstrap", brokers.kafka)
    mqtt, link = ("--mqtt", brokers.mqtt), ("--mqtt", brokers.devices or brokers.mqtt)
    seed = ("--seed", str(settings.seed))
    devices = "all" if settings.devices is None else str(settings.devices)
    own, via, groups = ("events", "kafka", f"{FLOW_GROUP},{FLEET_GROUP}")
    expiry: tuple[str, ...] = ()
    refreshes = REFRESHES
    orders: tuple[str, ...] = ()
    if settings.scenario is not None:
        own, via, groups = ("behaviour", "devices", FLEET_GROUP)
        orders, refreshes = ("--orders", str(folder / ORDERS)), settings.scenario.refreshes
        if settings.scenario.expiry_s is not None:
            expiry = ("--expiry", f"{settings.scenario.expiry_s:g}s")
    replay = ("replay", str(log.path), *kafka, "--json", "--via", via)
    throttle = ("--throttle-groups", groups)
    lines: dict[str, Sequence[str]] = {
        "train-cloud": (
            *("train-cloud", "--initial-log", str(log.path), "--initial-share", str(INITIAL_SHARE)),
            *("--refresh", f"{log.refresh_s(refreshes)}s", "--keys", str(folder / "keys"), *kafka, *seed),
            *(("--classifier",) if settings.classifier else ()),
        ),
        "flow": (
            *("flow", "--pool", str(folder / "pool"), "--state", str(folder / "flow")),
            *("--pool-age", f"{WINDOW_DAYS}d", "--candidates", str(CANDIDATES), *kafka, *seed),
            *(("--min-users", "1") if settings.through_devices else ()),  # what waits would look as if it were lost
        ),
        "tunnel": ("tunnel", *kafka, *mqtt, *expiry, "--drain", "1s", "--json"),  # it has drained by then
        "fleet": (
            *("fleet", "--own", own, "--devices", devices, *kafka, *link, *seed),
            *("--cloud-key", str(folder / "keys" / "cloud.pub")),
            *("--state", str(folder / "fleet-state"), "--out", str(folder / "fleet"), *orders),
            *(("--base", settings.base) if settings.base else ()),
        ),
        "canary": ("canary", *kafka, *mqtt),
        "history": (*replay, *throttle, "--speed", "max", "--until", str(log.live_from_ms)),
        "live": (*replay, *throttle, "--speed", f"{log.speed(settings.seconds):.3f}", "--from", str(log.live_from_ms)),
    }
    return lines
