"""One process of a fleet, or the only one: opens what it needs, and runs its devices until it is told to stop."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import msgspec
import structlog

from device_sim.mqtt_link import MqttLink
from device_sim.one_of import OneOf, check_partitions
from monitor.metrics import Metrics
from streams.bus import never
from streams.fleet.account import FILE
from streams.fleet.service import FleetService
from streams.fleet.settings import FleetSettings
from streams.fleet.shell import FleetShell, PartitionsAdded, one_thread
from streams.fleet.told import NAME, Told
from streams.kafka.bus import KafkaBus
from streams.kafka.topic_watch import TopicWatch
from streams.kafka.topics import FLEET_GROUP
from streams.log import set_up_logging
from streams.metrics_server import metrics_server
from streams.process.lookout import Lookout
from streams.process.pulse import Pulse
from streams.supervisor import AGAIN, NO_RESTART, end_with
from wire.clock import SystemClock
from wire.durable import hold, make_folder, write_durably
from wire.errors import CodaError, InputError
from wire.status import Role

T = TypeVar("T")

_log = structlog.get_logger()


def run_process(told: Told, one_of: OneOf, conclude: Callable[[FleetService], T]) -> tuple[T, int]:
    """Run until a signal; returns what was to be concluded then, and which signal it was.

    Raises `CodaError` when it ends for a reason that the world is to blame for, or `PartitionsAdded`.
    """
    settings, metrics = told.settings(one_of), Metrics()
    port = told.metrics_port + one_of.process if told.metrics_port else 0
    with ExitStack() as held, metrics_server(port, metrics.registry):
        for folder in {settings.state.resolve(), settings.out.resolve()}:
            make_folder(folder)
            held.enter_context(hold(folder))
        return asyncio.run(_run(told, settings, metrics, conclude))


async def _run(
    told: Told, settings: FleetSettings, metrics: Metrics, conclude: Callable[[FleetService], T]
) -> tuple[T, int]:
    one_thread()
    bus, broker, clock, one_of = KafkaBus(told.kafka), told.broker, SystemClock(), settings.one_of
    grown = never if one_of.alone else _grown(bus, settings)
    link = MqttLink(
        broker.host,
        broker.port,
        settings.seed,
        told.claim,
        metrics=metrics,
        keyring=broker.keyring,
        one_of=one_of,
    )
    fleet = FleetShell(settings, bus, link, clock, metrics=metrics, grown=grown)
    lookout = Lookout(bus, clock, metrics, stage="predicted", group=FLEET_GROUP, topic=settings.topic)
    pulse = Pulse(
        Role.FLEET,
        one_of.name(NAME),
        bus,
        clock,
        metrics,
        lookouts=[lookout],
        frontiers=lambda: fleet.service.trained.frontiers,
    )
    with pulse, _signals((signal.SIGINT, signal.SIGTERM), fleet.stop) as caught:
        conclusion = await fleet.run(conclude)
    return conclusion, caught[0]


def _grown(bus: KafkaBus, settings: FleetSettings) -> Callable[[], bool]:
    """Whether the topic has got partitions meanwhile; raises `InputError` when they can't be shared out."""
    partitions = bus.bounds(settings.topic)
    check_partitions(settings.topic, len(partitions), settings.one_of.processes)
    watch = TopicWatch(bus.settings, partitions)
    return lambda: bool(watch.added())


@contextmanager
def _signals(numbers: Sequence[signal.Signals], stop: Any) -> Any:
    """Call `stop` on the first of these signals, on the loop, and end at once on a second one.

    The yielded list gets the first one's number.
    """
    loop = asyncio.get_running_loop()
    caught: list[int] = []

    def hear(number: int) -> None:
        if caught:
            print("fleet: ended at once; it goes on from its last snapshot", file=sys.stderr)
            os._exit(128 + number)
        caught.append(number)
        stop()

    for number in numbers:
        loop.add_signal_handler(number, hear, number)
    try:
        yield caught
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def main(arguments: Sequence[str]) -> int:
    """What the supervisor starts: what `coda fleet` was told, as JSON, and the number of the process."""
    told = msgspec.json.decode(arguments[0], type=Told)
    one_of = OneOf(int(arguments[1]), told.processes)
    account = one_of.folder(told.out_folder) / FILE
    set_up_logging()
    end_with(os.getppid())
    account.unlink(missing_ok=True)  # what there is will be that of this run
    try:
        _, stopped_by = run_process(
            told, one_of, lambda fleet: write_durably(account, msgspec.json.encode(fleet.account()))
        )
    except PartitionsAdded as error:
        _log.info(f"{error}")
        return AGAIN
    except CodaError as error:
        print(f"coda fleet, process {one_of.process}: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else NO_RESTART
    return 128 + stopped_by


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
