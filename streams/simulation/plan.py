"""What one simulation is made of, all drawn from its seed: how many of everything, how often what fails, and when.

Small numbers on purpose: a window of 40 samples is full after 40, and what happens in big systems after days happens
here within minutes of virtual time. `Limits` leave out parts of a plan, to find the fewest with which it still fails.
"""

import random
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from wire.task import ARMS

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


class Kind(StrEnum):
    """What can go wrong, or just happen."""

    CUT = "cut"  # a connection to the MQTT broker ends
    SILENT = "silent"  # half open: nothing arrives, one way or both, and nobody says so
    HOLD = "hold"  # a partition that holds everything up and lets it go in the end
    BURST = "burst"  # packets are lost in bursts, all over the network
    BROKER = "broker"  # the MQTT broker restarts
    KAFKA = "kafka"  # Kafka is away
    FLOW_KILL = "flow-kill"
    FLOW_POWER = "flow-power"  # and what was not synced is lost
    FLOW_PAUSE = "flow-pause"  # one worker stands still
    TUNNEL_KILL = "tunnel-kill"
    TUNNEL_PAUSE = "tunnel-pause"
    FLEET_KILL = "fleet-kill"
    FLEET_PAUSE = "fleet-pause"
    PEOPLE = "people"  # devices are there, train and stamp events as people of a population do
    TRAINER_KILL = "trainer-kill"
    DISK_FULL = "disk-full"
    CLOCK = "clock"  # a process's clock jumps
    HOSTILE = "hostile"  # somebody sends what is no message
    MODEL = "model"  # a new version of the cloud model
    LINEAGE = "lineage"  # a model of another lineage, which replaces the one in use or does not say so
    OLD_MODEL = "old-model"  # an older version comes again, or another model under the same number


CHAOS = [kind for kind in Kind if kind not in (Kind.MODEL, Kind.LINEAGE, Kind.OLD_MODEL)]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong from `at_ms` on `for_ms` long; `number` picks whom it strikes and how."""

    kind: Kind
    at_ms: int
    for_ms: int
    number: int


@dataclass(frozen=True)
class Limits:
    """What is left of a plan: all else is as it was drawn. None: everything."""

    devices: tuple[int, ...] | None = None  # by number; users of the others do nothing
    events: int | None = None  # the first so many of these devices
    faults: tuple[int, ...] | None = None  # by number

    def within(self, whole: "Limits") -> "Limits":
        """These, and those of `whole` where these leave everything."""
        return Limits(**{part: own if own is not None else asdict(whole)[part] for part, own in asdict(self).items()})


EVERYTHING = Limits()


@dataclass(frozen=True)
class Plan:
    """One simulation. Shares and chances are from 0 to 1, times in ms."""

    seed: int
    devices: int
    events: int
    safety_ms: int
    partitions: int
    shards: int
    processes: int
    match_every: int
    candidates: int
    window_count: int
    freshness_ms: int
    lateness_ms: int
    expiry_ms: int
    epoch_ms: int
    retrain_every: int
    arms: tuple[str, ...]
    classifier: bool
    pace_ms: int  # between two turns of a process
    converges: bool  # whether it is compared with its undisturbed twin, which costs as much again
    uploads: bool
    persistent: bool  # the MQTT broker
    delay_ms: int
    gap_share: float
    positives: float
    skews_ms: tuple[int, ...]  # how far each device's clock is off
    faults: tuple[Fault, ...]
    tunnels: int
    min_users: int  # that take an item before its samples go on
    limits: Limits = EVERYTHING


def draw(seed: int, limits: Limits = EVERYTHING) -> Plan:
    """The plan of a seed, or what `limits` leave of it."""
    dice = random.Random(f"{seed}/plan")
    devices, safety_ms = dice.randint(2, 6), dice.choice((40_000, 60_000, 100_000))
    shards = dice.choice((1, 1, 2, 3))
    plan = Plan(
        seed=seed,
        devices=devices,
        events=dice.choice((20, 40, 80)),
        safety_ms=safety_ms,
        partitions=dice.randint(1, 3),
        shards=shards,
        processes=dice.randint(1, shards),
        match_every=dice.choice((2, 4, 8)),
        candidates=2 * dice.randint(2, 12),
        window_count=dice.choice((20, 60, 1000)),
        freshness_ms=dice.choice((5_000, 20_000, 60_000)),
        lateness_ms=dice.choice((HOUR_MS, HOUR_MS, 30_000)),
        expiry_ms=dice.choice((15_000, 60_000, 600_000)),
        epoch_ms=dice.choice((500, 1_000, 5_000)),
        retrain_every=dice.choice((2, 5, 10)),
        arms=dice.choice((("cloud", "local"), ("cloud", "coarse"), ("cloud", "coda"), ARMS)),
        pace_ms=dice.choice((150, 250, 400)),
        converges=dice.random() < 0.3,
        uploads=dice.random() < 0.8,
        persistent=dice.random() < 0.5,
        delay_ms=dice.choice((2, 30, 150)),
        gap_share=dice.choice((0.0, 0.1)),
        positives=dice.choice((0.3, 0.7)),
        skews_ms=tuple(_skew(dice) for _ in range(devices)),
        faults=_faults(dice, safety_ms),
        min_users=dice.choice((1, 1, 2, 3)),
        tunnels=dice.choice((1, 1, 2)),
        classifier=dice.random() < 0.5,
    )
    return cut(plan, limits)


def cut(plan: Plan, limits: Limits) -> Plan:
    """The plan, smaller."""
    faults = plan.faults if limits.faults is None else tuple(plan.faults[number] for number in limits.faults)
    return replace(plan, limits=limits, faults=faults)


def undisturbed(plan: Plan) -> Plan:
    """The same without anything that goes wrong: what everything must be like in the end."""
    return replace(plan, faults=tuple(fault for fault in plan.faults if fault.kind not in CHAOS), gap_share=0.0)


def _skew(dice: random.Random) -> int:
    """Most clocks are right; some are off by seconds or minutes, few by hours or a day."""
    share = dice.random()
    if share < 0.6:
        return 0
    if share < 0.85:
        return dice.randint(-120_000, 120_000)
    return dice.choice((-2 * HOUR_MS, 2 * HOUR_MS, DAY_MS, -DAY_MS))


def _faults(dice: random.Random, safety_ms: int) -> tuple[Fault, ...]:
    """Of a few kinds each seed, some more often: a run that has everything at once finds less than many that differ."""
    kinds = [kind for kind in Kind if dice.random() < 0.35]
    rates = {kind: dice.choice((1, 1, 2, 4)) for kind in kinds}
    faults = [
        Fault(kind, dice.randint(3_000, safety_ms), dice.choice((500, 3_000, 15_000, 45_000)), dice.randrange(1 << 30))
        for kind, rate in rates.items()
        for _ in range(rate)
    ]
    return tuple(sorted(faults, key=lambda fault: (fault.at_ms, fault.kind)))
