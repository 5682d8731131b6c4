"""What a campaign of simulations must have hit at least once: else it tests less than it seems to."""

from collections.abc import Callable

from device_sim.outcome import Attendances, Stances
from streams.kafka.topics import TUNNEL_GROUP
from streams.simulation.world import World
from wire.outcome import Batches, Trainings


def _counted(what: str, outcome: str) -> Callable[[World], bool]:
    return lambda world: bool(world.devices and world.devices.fleet.counts[what, outcome])


def _pushed(end: str) -> Callable[[World], bool]:
    return lambda world: any(getattr(carrier.down.tally(), end) for carrier in world.carriers)


def _refused(reason: str) -> Callable[[World], bool]:
    return lambda world: reason in world.seen.refused.values()


# name: whether a world that has ended hit it; worlds add other names themselves, as they happen
SOMETIMES: dict[str, Callable[[World], bool]] = {
    "a push was superseded before the device answered": _pushed("superseded"),
    "a push expired": _pushed("expired"),
    "a model arrived in the middle of a training": _counted("trainings", Trainings.OUTDATED),
    "a batch of another model was refused": _counted("batches", Batches.WRONG_MODEL),
    "a batch came twice": _counted("batches", Batches.REPEATED),
    "an older batch came after a newer one": _counted("batches", Batches.STALE),
    "a batch that is none, or another's, was refused": _counted("batches", Batches.MALFORMED),
    "another lineage took over": lambda w: w.newest_model[0] > 1,
    "an event was too far ahead": _refused("ahead"),
    "an event came after its window": _refused("window"),
    "samples stayed behind whose item few users took": lambda w: bool(w.seen.rare(w.plan.min_users)),
    "an event came twice": lambda w: w.seen.messages["events"] > len(w.seen.events),
    "a query was given up because a shard did not answer": lambda w: w.given_up > 0,
    "the dataflow began anew, as its clock was set back": lambda w: bool(w.dataflow and w.dataflow.begun_anew),
    "a tunnel took over from another": lambda w: w.plan.tunnels > 1 and w.kafka.group(TUNNEL_GROUP).generation > 2,
    "a full disk healed": lambda w: any("No space left" in e.what for e in w.journal.entries) and bool(w.dataflow),
    "a device came back as its user did": _counted("attendances", Attendances.CAME),
    "a clock of a device was set": _counted("attendances", Attendances.CLOCK_SET),
    "a training was begun anew, as a device had left it": _counted("attendances", Attendances.UNFINISHED),
    "a device stood aside": _counted("stances", Stances.ASIDE),
    "a training was rolled back": _counted("trainings", Trainings.ROLLED_BACK),
}
NOTED = (
    "a stranger's model was offered",
    "a device came back with an expired batch",
    "a snapshot was restored with a pool that is ahead of it",
    "a sample came while its pool was between two models",
    "a dataflow died while a pool was between two models",
    "the dataflow went on from a snapshot",
    "what was not synced was lost",
    "a fleet went on from a snapshot",
    "a half-open connection was found out",
    "a partition was released before anybody noticed",
    "a broker forgot what it retained",
    "the tunnel died with messages on the wire",
    "Kafka came back",
)
NAMES = sorted((*SOMETIMES, *NOTED))


def look(world: World) -> None:
    """Add what the world has hit."""
    world.sometimes |= {name for name, hit in SOMETIMES.items() if hit(world)}
