"""`coda fleet`: the simulated devices, until interrupted."""

import secrets
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import polars as pl
from cyclopts import Parameter

from device_sim.one_of import OneOf, check_partitions
from device_sim.record import PREDICTIONS
from streams.base.names import STALE, Base
from streams.evaluation.arms import compare_arms, read_predictions
from streams.evaluation.lineup import called
from streams.faults.units import Share
from streams.fleet.drop import Drop, DropAccount
from streams.fleet.told import Told
from streams.fleet.whole import check_folders, whole_result
from streams.kafka.admin import ensure_topics
from streams.kafka.bounds import bounds
from streams.kafka.connection import probe as probe_kafka
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.kafka.topics import STATUS
from streams.metrics_server import check_ports
from streams.mqtt.connection import probe as probe_mqtt
from streams.mqtt.options import LOCAL_MQTT, MqttOptions
from streams.population.table import find_table
from streams.settings import AtLeast0, AtLeast1, Devices, SomeTime
from streams.stop import Stop
from streams.supervisor import OneMachine, supervise
from streams.times import Duration
from wire.clock import SystemClock
from wire.durable import hold, make_folder, write_durably
from wire.errors import InputError
from wire.signing import PUBLIC

RESULT = "result.json"


def command(
    *,
    own: Literal["events", "behaviour"] = "events",
    devices: Devices = None,
    processes: AtLeast1 = 1,
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
    it. Ctrl-C or SIGTERM ends it in order; the same --state resumes it exactly where it stood. With --processes, each
    has the users of its partitions of Kafka's topic, and its own folder below --state and --out; what they predicted is
    put together in --out at the end.

    Example

    ```
    coda fleet --devices 500 --state runs/mine/fleet --out runs/mine
    coda fleet --own behaviour --drop 30% --for 60s
    coda fleet --processes 2 --metrics-port 9101
    ```

    Args:
        own: Where a device learns what its user does: the topic `events` (the event is in Kafka already) or
            `behaviour` (the device is its origin and uploads it through the tunnel).
        devices: How many users have a device, those that do something first; by default `all`.
        processes: Processes that share the devices out, for more cores than one; it has to divide the number of
            partitions, and --devices is divided by it. When one dies, all restart from their last snapshots.
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
        metrics_port: Serve metrics on this port of 127.0.0.1, further processes on the ones after; 0 serves none.
        json: Print the result as JSON on standard output.
    """
    told = Told(
        bootstrap=kafka.bootstrap,
        kafka_config=_absolute(kafka.kafka_config),
        mqtt=mqtt.mqtt,
        mqtt_credentials=_absolute(mqtt.mqtt_credentials),
        own=own,
        devices=devices,
        processes=processes,
        state=_absolute(state),  # processes run in another folder
        out=_absolute(out),
        base=base,
        cloud_key=_absolute(cloud_key),
        seed=seed,
        lasts_s=for_.s,
        metrics_port=metrics_port,
        boot=secrets.token_hex(4),
        started_ms=SystemClock().wall_ms(),
        **_attendance(population, drop, orders),
    )
    result, code = _run(told)
    if result is None:
        return code
    if "drop" in result:
        line = msgspec.convert(result["drop"], DropAccount).line()
        result["drop"]["arms"] = _arms_of_dropped(told)
    document = msgspec.json.format(msgspec.json.encode(result), indent=2).decode()
    write_durably(out / RESULT, document.encode() + b"\n")
    lines = [_line(result), *([line] if "drop" in result else [])]
    print(document if json else "\n".join(lines), file=sys.stdout if json else sys.stderr)
    return code


def _absolute(place: Path | None) -> str:
    return str(place.absolute()) if place is not None else ""


def _attendance(population: str | None, drop: str | None, orders: Path | None) -> dict[str, Any]:
    """What is told of who is there; raises `InputError`."""
    if sum(each is not None for each in (population, drop, orders)) > 1:
        raise InputError("--population, --drop and --orders each say which devices are there: give one of them")
    if drop is not None and not Share.parse(drop):
        raise InputError("--drop has to be more than nothing, as in --drop 30% --for 60s")
    return {
        "people": (find_table(population), population) if population is not None else None,
        "drop": float(Share.parse(drop)) if drop is not None else None,
        "orders": _absolute(orders),
    }


def _run(told: Told) -> tuple[dict[str, Any] | None, int]:
    """Run until a signal; returns the result, None where processes have said why there is none, and the exit code."""
    topic = told.settings(OneOf()).topic  # refuses what can't be before anything is made
    check_ports(told.metrics_port, told.processes)
    kafka, broker = told.kafka, told.broker
    probe_kafka(kafka.bootstrap, properties=kafka.properties)
    probe_mqtt(broker)
    check_folders(told)
    ensure_topics(kafka, [topic, STATUS])
    if told.processes > 1:
        check_partitions(topic, len(bounds(kafka, topic)), told.processes)
    print(f"fleet: own events from {topic} at {kafka.bootstrap}, MQTT {broker.address}", file=sys.stderr)
    if told.processes > 1:
        return _supervised(told)
    from streams.commands.fleet_process import run_process  # noqa: PLC0415 - torch, which a supervisor does not need
    from streams.fleet.service import FleetService  # noqa: PLC0415

    result, stopped_by = run_process(told, OneOf(), FleetService.result)
    return result, 128 + stopped_by


def _supervised(told: Told) -> tuple[dict[str, Any] | None, int]:
    """The same by several processes."""
    stop = Stop()
    with ExitStack() as held:
        for folder in {Path(told.state).resolve(), Path(told.out).resolve()}:
            make_folder(folder)
            held.enter_context(hold(folder))
        command = [sys.executable, "-m", "streams.commands.fleet_process", msgspec.json.encode(told).decode()]
        code = supervise("fleet", command, range(told.processes), OneMachine(0), stop)
        return whole_result(told) if stop.signal else None, code


def _arms_of_dropped(told: Told) -> dict[str, Any]:
    """What each arm predicted for those that were cut off, and for the others."""
    members = Drop(told.drop or 0.0, told.lasts_s, told.seed).members
    predictions = read_predictions(told.out_folder / PREDICTIONS)
    users: list[str] = predictions["user_id"].unique().to_list() if len(predictions) else []
    dropped = pl.col("user_id").is_in([user for user in users if user in members])
    groups = {"dropped": dropped, "others": ~dropped}
    compared = {n: compare_arms(predictions.filter(who), told.seed) for n, who in groups.items()} if users else {}
    arms: dict[str, Any] = msgspec.to_builtins({name: called(told.base, found) for name, found in compared.items()})
    return arms


def _line(result: dict[str, Any]) -> str:
    arms = ", ".join(f"{arm} {_figure(row['gauc'])}" for arm, row in result["arms"].items())
    if not result["events"]:
        return "fleet: no event was predicted: the cloud model had learned from all that came, or none came"
    return f"fleet: {result['devices']:,} devices, {result['events']:,} events predicted by every arm; GAUC: {arms}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
