"""`coda replay`: an event log, or a topic, into Kafka at its own pace."""

import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter
from xxhash import xxh3_64_hexdigest

from monitor.metrics import Metrics
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings, probe
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.kafka.topics import BEHAVIOUR, EVENTS, FLEET_GROUP, FLOW_GROUP, SCORE_GROUP, UNSCORED
from streams.logs.data import cache_folder, find_log
from streams.logs.options import AS_FOUND, LogOptions
from streams.metrics_server import metrics_server
from streams.process.pulse import Pulse
from streams.replay.pacing import Pacer, parse_speed
from streams.replay.replay import Replay, Totals, find_already_there
from streams.replay.source import LogSource, Range, Source, TopicSource
from streams.replay.state import load_state, read_state
from streams.replay.throttle import NoThrottle, Throttle
from streams.replay.view import View, open_view
from streams.settings import AtLeast0, AtLeast1
from streams.times import parse_moment_ms, span
from wire.clock import SystemClock
from wire.errors import InputError
from wire.status import Role

_TOPIC_SCHEME = "kafka://"
_TOPICS = {"kafka": EVENTS, "score": UNSCORED, "devices": BEHAVIOUR}
_READERS = {EVENTS: FLOW_GROUP, UNSCORED: SCORE_GROUP, BEHAVIOUR: FLEET_GROUP}


def command(
    log: str,
    /,
    *,
    speed: str = "max",
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    until: str | None = None,
    via: Literal["kafka", "score", "devices"] = "kafka",
    options: LogOptions = AS_FOUND,
    position: Path | None = None,
    fresh: bool = False,
    throttle_groups: str | None = None,
    max_ahead: AtLeast1 | None = None,
    kafka: KafkaOptions = LOCAL_KAFKA,
    partitions: AtLeast1 = KafkaSettings.partitions,
    replication: AtLeast1 = KafkaSettings.replication,
    metrics_port: AtLeast0 = 0,
    json: bool = False,
) -> int:
    """Replay an event log into Kafka; run it again after an interruption and it goes on where it stopped.

    Example

    ```
    coda replay my-log.csv.gz --bootstrap 127.0.0.1:9092 --speed 60
    coda replay events.csv --column user_id=visitorid --positive addtocart,transaction
    coda replay ml-100k --from 1998-01-01 --until 1998-02-01
    ```

    Args:
        log: A file (.csv, .jsonl, also .gz and .zst, or .parquet), a name from `coda data list`, or a topic that holds
            events: kafka://TOPIC or kafka://HOST:PORT/TOPIC.
        speed: How many times faster than event time, or max.
        from_: Leave out what is earlier: Unix ms, or an ISO date or time (UTC). For a topic: produced earlier.
        until: Leave out what is not earlier than this.
        via: kafka: straight to the topic events. score: to `coda score`, which passes them on with what it expected.
            devices: to the simulated devices, which upload their events themselves.
        position: The file that says what is done; by default one of this replay's own in the cache folder.
        fresh: Forget what an earlier run did and begin anew.
        throttle_groups: Consumer groups, separated by commas, to stay close to: by default the flow's (or the
            scorer's, or the fleet's) on the embedded Kafka, which drops what nobody has read, and none on a real one.
        max_ahead: How many events of one partition to be ahead of those groups at most; by default what the embedded
            Kafka keeps.
        partitions: Partitions of topics that do not exist yet.
        replication: Replicas of topics that do not exist yet.
        metrics_port: Serve metrics on 127.0.0.1 at this port; 0 serves none.
        json: Print one JSON document with what was done.
    """
    pacer = Pacer(parse_speed(speed))
    settings = replace(kafka.settings(), partitions=partitions, replication=replication)
    topic = _TOPICS[via]
    # What is wrong with the log is said before what is wrong with Kafka: it needs no broker to be found.
    within = Range(parse_moment_ms(from_) if from_ else 0, parse_moment_ms(until) if until else 1 << 62)
    source = open_source(log, within, settings, topic, options=options)
    ensure_topics(settings)
    bus = KafkaBus(settings)
    home = bus.home([topic])
    identity = {**source.identity, "topic": topic, "Kafka": home.cluster, "topic's id": home.topics.get(topic, "")}
    state_path = position or default_state(identity, bus)
    if state_path and fresh:
        read_state(state_path)  # so that nothing is written over what is no replay's
    start = load_state(state_path, identity) if state_path and not fresh else None
    if start is not None and start.finished:
        _report(log, Totals(), topic, settings.bootstrap, json=json)
        _say_finished(log)
        return 0
    with ExitStack() as stack:
        metrics = Metrics()
        stack.enter_context(metrics_server(metrics_port, metrics.registry))
        view = stack.enter_context(open_view())
        throttle = _throttle(stack, bus, topic, throttle_groups, max_ahead)
        for line in source.notes:
            view.say(line)
        if start is not None:
            view.say(f"going on after {start.position.get('events', 0):,} events, as {state_path} says")
        run = Replay(
            source,
            bus.producer(),
            topic,
            pacer=pacer,
            throttle=throttle,
            view=view,
            identity=identity,
            state_path=state_path,
            start=start,
            already_there=find_already_there(bus, topic, start) if start else frozenset(),
            metrics=metrics,
            clock=SystemClock(),
            sleep=time.sleep,
        )
        stack.enter_context(
            Pulse(
                Role.REPLAY,
                Path(log).name,
                bus,
                SystemClock(),
                metrics,
                frontiers=lambda: [run.frontier],
                shows=False,
            )
        )
        totals = _run(run, view, state_path)
    _report(log, totals, topic, settings.bootstrap, json=json)
    nothing = not totals.sent and not totals.already_there and start is None
    return 2 if nothing else 0


def open_source(
    log: str,
    within: Range,
    settings: KafkaSettings,
    topic: str,
    *,
    options: LogOptions = AS_FOUND,
) -> Source:
    """What `log` names: a topic of this or another Kafka, or a file."""
    if not log.startswith(_TOPIC_SCHEME):
        return LogSource(find_log(log), within, options=options)
    address, _, name = log.removeprefix(_TOPIC_SCHEME).rpartition("/")
    origin = KafkaSettings(address or settings.bootstrap, properties=settings.properties)
    if not name:
        raise InputError(f"{log} names no topic: write kafka://TOPIC or kafka://HOST:PORT/TOPIC")
    if name == topic and _cluster(origin) == _cluster(settings):
        raise InputError(
            f"{log} would be appended to itself: replay it to another Kafka (--bootstrap), or --via devices"
        )
    return TopicSource(KafkaBus(origin), name, within)


def default_state(identity: dict[str, str], bus: KafkaBus) -> Path | None:
    """A state file of this very replay's own; none on the embedded Kafka, which forgets with its process."""
    if bus.forgetful:
        return None
    return cache_folder() / "replay" / f"{xxh3_64_hexdigest(repr(sorted(identity.items())).encode())}.json"


def _throttle(
    stack: ExitStack, bus: KafkaBus, topic: str, groups: str | None, max_ahead: int | None
) -> Throttle | NoThrottle:
    if groups is None:
        groups = _READERS[topic] if bus.forgetful else ""
    names = [name.strip() for name in groups.split(",") if name.strip()]
    if not names:
        return NoThrottle()
    return Throttle([stack.enter_context(bus.group(name)) for name in names], topic, max_ahead)


def _run(run: Replay, view: View, state_path: Path | None) -> Totals:
    try:
        return run.run()
    except Exception:
        raise
    except BaseException:
        again = f"run the same command again to go on (state: {state_path})" if state_path else "nothing to go on from"
        view.say(f"stopped after {run.totals.sent:,} events; {again}")
        raise


def _cluster(kafka: KafkaSettings) -> str:
    return probe(kafka.bootstrap, properties=kafka.properties)


def _report(log: str, totals: Totals, topic: str, bootstrap: str, *, json: bool) -> None:
    done: dict[str, Any] = {"log": log, "topic": topic, "bootstrap": bootstrap, **totals.as_dict()}
    if json:
        print(msgspec.json.encode(done).decode())
        return
    line = f"{totals.sent:,} events to {topic} in {span(totals.seconds)} ({done['events_per_s']:,.0f}/s)"
    if totals.rejected:
        line += f", {totals.rejected.total():,} malformed rows to the dead letters"
    print(line)


def _say_finished(log: str) -> None:
    print(f"replay: all of {log} is in Kafka already; --fresh replays it once more", file=sys.stderr)
