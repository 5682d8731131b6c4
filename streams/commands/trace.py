"""`coda trace`: one event on its way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import NoReturn

import msgspec
import structlog

from streams.bus import BY_THE_WAY_MS, Bus, Message
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import probe
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.kafka.topics import CANDIDATES, DEAD_LETTERS, EVENTS, SAMPLES, TELEMETRY, TRACES
from streams.times import moment, span
from streams.trace.trace import Found, Step, batched, find, pooled, refused, used
from streams.trace.tracer import READ, Tracer
from wire.canary import is_canary
from wire.decoder import printable
from wire.errors import InputError
from wire.malformed import Malformed
from wire.trace import ONE_IN, TraceStep, decode_step, encode_step, trace_of

_GROUP = "coda-trace"
_log = structlog.get_logger()


def command(
    event: str | None = None,
    *,
    user: str = "",
    follow: bool = False,
    otlp: str | None = None,
    kafka: KafkaOptions = LOCAL_KAFKA,
    json: bool = False,
) -> None:
    """Follow one event from the moment it was produced to every batch it was in, and each device that trained on it.

    It reads what Kafka keeps, so it needs nothing to have been switched on before. Without an event it follows the
    newest, of --user or of all. With --follow it goes on until interrupted, and writes how one event in a thousand, and
    every canary, goes its way to the topic `traces`: of those it is known at once, and for longer.

    Example

    ```
    coda trace 5f1c0e9a77aa41d2
    coda trace --user ann
    coda trace --user ~canary/canary
    coda trace --follow --otlp http://127.0.0.1:4318/v1/traces
    ```

    Args:
        event: The event's id.
        user: Whose event; alone, the newest of this user.
        follow: Write traces from now on.
        otlp: With --follow, hand them to OpenTelemetry at this address, too; needs the extra `otel`.
        json: Print one JSON document instead of lines.
    """
    settings = kafka.settings()
    if otlp is not None and not follow:
        raise InputError("--otlp exports what is followed: give --follow, too")
    export = _exporter(otlp) if otlp is not None else None
    probe(settings.bootstrap, properties=settings.properties)
    bus = KafkaBus(settings)
    if follow:
        ensure_topics(settings)
        _follow(bus, export)
    if traced := _traced(bus, event, user):
        told = map(printable, traced_lines(traced))
        print(msgspec.json.encode({"steps": traced}).decode() if json else "\n".join(told))
        return
    found = find(_all(bus, EVENTS), event or "", user)
    if found is None:
        what = " ".join(filter(None, [f"event {event}" if event else "event", f"of user {user}" if user else ""]))
        raise InputError(f"no {what} in the topic {EVENTS} of {bus.name}: never produced, or no longer kept")
    batches = batched(_all(bus, CANDIDATES), found)
    steps = [
        *refused(_all(bus, DEAD_LETTERS), found),
        *pooled(_all(bus, SAMPLES), found),
        *batches.values(),
        *used(_all(bus, TELEMETRY), batches),
    ]
    steps.sort(key=lambda step: step.at_ms)
    if json:
        print(msgspec.json.encode({"found": found, "steps": steps}).decode())
        return
    for line in lines(found, steps):
        print(printable(line))


def _follow(bus: Bus, export: Callable[[Sequence[TraceStep]], None] | None) -> NoReturn:
    """Read along until interrupted."""
    tracer = Tracer()
    begin = {partition: end for topic in READ for partition, (_, end) in bus.bounds(topic).items()}
    with bus.consumer(_GROUP, READ, "latest", assign=begin, within_ms=BY_THE_WAY_MS) as consumer:
        producer = bus.producer()
        _log.info(f"following one event in {ONE_IN:,} and every canary, to the topic {TRACES}")
        while True:
            steps = [step for message in consumer.poll() for step in tracer.take(message)]
            for step in steps:
                producer.send(TRACES, step.trace, encode_step(step))
            producer.poll()
            if export is not None:
                export(steps)


def _exporter(url: str) -> Callable[[Sequence[TraceStep]], None]:
    """Hands steps to OpenTelemetry; raises `InputError` where that is not installed."""
    try:
        from streams.trace import otel  # noqa: PLC0415 - an extra, which only this needs

        return partial(otel.export, exporter=otel.otlp(url))
    except ImportError as error:
        raise InputError(f"--otlp needs OpenTelemetry ({error.name}): pip install 'coda-streaming[otel]'") from error


def _traced(bus: Bus, event: str | None, user: str) -> list[TraceStep]:
    """The steps of that event, or of the newest canary of that name, if it is among those that were followed."""
    by_trace: dict[str, list[TraceStep]] = {}
    if event is None and not is_canary(user):
        return []
    for message in _all(bus, TRACES):
        with suppress(Malformed):
            step = decode_step(message.value)
            if step.trace == trace_of(event) if event is not None else step.user_id == user:
                by_trace.setdefault(step.trace, []).append(step)
    newest = max(by_trace.values(), key=lambda steps: steps[0].since_ms, default=[])
    return sorted(newest, key=lambda step: step.at_ms)


def traced_lines(steps: Sequence[TraceStep]) -> Iterator[str]:
    """The story of what was followed: each step with the time since it was produced."""
    yield f"trace {steps[0].trace}{f' of {steps[0].user_id}' if steps[0].user_id else ''}, from the topic {TRACES}"
    for step in steps:
        yield f"{moment(step.at_ms)}  + {span((step.at_ms - step.since_ms) / 1000)}: {step.what}"


def lines(found: Found, steps: list[Step]) -> Iterator[str]:
    """The story of an event: each step with the time since it was produced."""
    event = found.event
    yield (
        f"event {event.event_id}: {event.user_id} and {event.item_id}, label {event.label}, "
        f"at {moment(event.timestamp)} of event time"
    )
    yield f"{moment(found.produced_ms)}  produced to {found.topic}[{found.partition}]@{found.offset}"
    for step in steps:
        yield f"{moment(step.at_ms)}  + {span((step.at_ms - found.produced_ms) / 1000)}: {step.what}"
    if not steps:
        yield "and nothing since: it waits for the dataflow, or for more users of its item"


def _all(bus: Bus, topic: str) -> Iterator[Message]:
    return bus.read(_GROUP, bus.bounds(topic))
