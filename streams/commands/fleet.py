"""`coda fleet`: the simulated devices, until interrupted."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import polars as pl
from cyclopts import Parameter

from device_sim.mqtt_credentials import FLEET
from device_sim.mqtt_link import MqttLink
from monitor.metrics import Metrics
from streams.base.names import STALE, Base
from streams.evaluation.arms import compare_arms, read_predictions
from streams.evaluation.lineup import called
from streams.faults.units import Share
from streams.fleet.drop import Drop
from streams.fleet.orders import EVERYONE, OrderFile, Orders, Standing, begun
from streams.fleet.settings import FleetSettings
from streams.fleet.shell import FleetShell, one_thread
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import probe as probe_kafka
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.kafka.topics import FLEET_GROUP, STATUS
from streams.metrics_server import metrics_server
from streams.mqtt.connection import MqttSettings
from streams.mqtt.connection import probe as probe_mqtt
from streams.mqtt.options import LOCAL_MQTT, MqttOptions
from streams.population.table import find_table
from streams.process.lookout import Lookout
from streams.process.pulse import Pulse
from streams.settings import AtLeast0, Devices, SomeTime
from streams.times import Duration
from wire.claim import Claim
from wire.clock import SystemClock
from wire.durable import hold, make_folder, write_durably
from wire.errors import InputError
from wire.signing import PUBLIC
from wire.status import Role

RESULT = "result.json"
NAME = "coda-fleet"  # client ids begin with it


def command(
    *,
    own: Literal["events", "behaviour"] = "events",
    devices: Devices = None,
    kafka: KafkaOptions = LOCAL_KAFKA,
    mqtt: MqttOptions = LOCAL_MQTT,
    state: Path = Path("runs/fleet/state"),
    out: Path = Path("runs/fleet"),
    base: Base = STALE,
    cloud_key: Path = Path("runs/keys") / PUBLIC,
    seed: int = 0,
    population: str | None = None,
    drop: str | None = None,
    for_: Annotated[SomeTime, Parameter(name="--for")] = Duration.parse("60s"),
    orders: Path | None = None,
    metrics_port: AtLeast0 = 0,
    json: bool = False,
) -> int:
    """Simulate one device per user: each learns from what its user does and from what the tunnel brings.

    Every device has an MQTT connection of its own, and every arm predicts every event before anything learns from
    it. Ctrl-C or SIGTERM ends it in order; the same --state resumes it exactly where it stood.

    Example

    ```
    coda fleet --devices 500 --state runs/mine/fleet --out runs/mine
    coda fleet --own behaviour --drop 30% --for 60s
    ```

    Args:
        own: Where a device learns what its user does: the topic `events` (the event is in Kafka already) or
            `behaviour` (the device is its origin and uploads it through the tunnel).
        devices: How many users have a device, those that do something first; by default `all`.
        state: Folder for snapshots, made if need be.
        out: Folder for predictions.parquet, trainings.jsonl and result.json.
        base: Which model's bases events bring, so that views call the arm that devices add to by its name: `logged`,
            your own, or as `coda data score` wrote them, `boosted` or `online`; `stale` is the cloud model.
        cloud_key: The public key in the folder of `coda train-cloud --keys`: models and tasks signed with
            another are refused.
        seed: Fixes training, the jitter of reconnects, and who is away.
        population: Devices are there, have a link, and train when these people would: a known one by its name, or a
            TOML file; see docs/scenarios.md.
        drop: Cut this share of the devices off once, such as 30%, 20 s after the first events; the account is told at
            the end.
        for_: How long they are away.
        orders: A file from which a running `coda chaos` says who is there.
        metrics_port: Serve metrics on this port of 127.0.0.1; 0 serves none.
        json: Print the result as JSON on standard output.
    """
    told = _orders(population, drop, for_, orders, seed)
    settings = FleetSettings(
        own=own, devices=devices, state=state, out=out, cloud_key=cloud_key, seed=seed, orders=told, base=base
    )
    reached, broker = kafka.settings(), mqtt.settings(FLEET)
    metrics = Metrics()
    with ExitStack() as held, metrics_server(metrics_port, metrics.registry):
        probe_kafka(reached.bootstrap, properties=reached.properties)
        probe_mqtt(broker)
        for folder in {state.resolve(), out.resolve()}:
            make_folder(folder)
            held.enter_context(hold(folder))
        ensure_topics(reached, [settings.topic, STATUS])
        print(f"fleet: own events from {settings.topic} at {reached.bootstrap}, MQTT {broker.address}", file=sys.stderr)
        result, stopped_by = asyncio.run(_run(settings, KafkaBus(reached), broker, metrics))
    if isinstance(told, Drop):
        result |= {"drop": _account(told, out, seed, base)}
    document = msgspec.json.format(msgspec.json.encode(result), indent=2).decode()
    write_durably(out / RESULT, document.encode() + b"\n")
    lines = [_line(result), *([told.account.line()] if isinstance(told, Drop) else [])]
    print(document if json else "\n".join(lines), file=sys.stdout if json else sys.stderr)
    return 128 + stopped_by


def _orders(population: str | None, drop: str | None, for_: Duration, orders: Path | None, seed: int) -> Orders:
    """Who of the devices is there; raises `InputError`."""
    if sum(each is not None for each in (population, drop, orders)) > 1:
        raise InputError("--population, --drop and --orders each say which devices are there: give one of them")
    if drop is not None:
        if not (share := Share.parse(drop)):
            raise InputError("--drop has to be more than nothing, as in --drop 30% --for 60s")
        return Drop(share, for_.s, seed)
    if population is not None:
        return Standing([begun(find_table(population), population, seed, SystemClock().wall_ms())])
    return OrderFile(orders) if orders is not None else EVERYONE


def _account(drop: Drop, out: Path, seed: int, base: str) -> dict[str, Any]:
    """What came of it, and what each arm predicted for those that were cut off, and for the others."""
    predictions = read_predictions(out / "predictions.parquet")
    users: list[str] = predictions["user_id"].unique().to_list() if len(predictions) else []
    dropped = pl.col("user_id").is_in([user for user in users if user in drop.members])
    groups = {"dropped": dropped, "others": ~dropped}
    compared = {n: compare_arms(predictions.filter(who), seed) for n, who in groups.items()} if users else {}
    arms = {name: called(base, found) for name, found in compared.items()}
    return {**msgspec.to_builtins(drop.account), "arms": msgspec.to_builtins(arms)}


async def _run(
    settings: FleetSettings, bus: KafkaBus, broker: MqttSettings, metrics: Metrics
) -> tuple[dict[str, Any], int]:
    """Run until a signal; returns the result and which signal it was."""
    one_thread()
    clock = SystemClock()
    claim = Claim(NAME, secrets.token_hex(4), clock.wall_ms())
    link = MqttLink(broker.host, broker.port, settings.seed, claim, metrics=metrics, keyring=broker.keyring)
    fleet = FleetShell(settings, bus, link, clock, metrics)
    lookout = Lookout(bus, clock, metrics, stage="predicted", group=FLEET_GROUP, topic=settings.topic)
    pulse = Pulse(
        Role.FLEET,
        NAME,
        bus,
        clock,
        metrics,
        lookouts=[lookout],
        frontiers=lambda: fleet.service.trained.frontiers,
    )
    with pulse, _signals((signal.SIGINT, signal.SIGTERM), fleet.stop) as caught:
        result = await fleet.run()
    return result, caught[0]


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


def _line(result: dict[str, Any]) -> str:
    arms = ", ".join(f"{arm} {_figure(row['gauc'])}" for arm, row in result["arms"].items())
    if not result["events"]:
        return "fleet: no event was predicted: the cloud model had learned from all that came, or none came"
    return f"fleet: {result['devices']} devices, {result['events']} events predicted by every arm; GAUC: {arms}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
