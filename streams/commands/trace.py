"""`coda trace`: one event on its way."""

from collections.abc import Iterator

import msgspec

from streams.bus import Bus, Message
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import probe
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.kafka.topics import CANDIDATES, DEAD_LETTERS, EVENTS, SAMPLES, TELEMETRY
from streams.times import moment, span
from streams.trace.trace import Found, Step, batched, find, pooled, refused, used
from wire.errors import InputError


def command(
    event: str | None = None,
    *,
    user: str = "",
    kafka: KafkaOptions = LOCAL_KAFKA,
    json: bool = False,
) -> None:
    """Follow one event from the moment it was produced to every batch it was in, and each device that trained on it.

    It reads what Kafka keeps, so it needs nothing to have been switched on before. Without an event it follows the
    newest, of --user or of all.

    Example

    ```
    coda trace 5f1c0e9a77aa41d2
    coda trace --user ann
    ```

    Args:
        event: The event's id.
        user: Whose event; alone, the newest of this user.
        json: Print one JSON document instead of lines.
    """
    settings = kafka.settings()
    probe(settings.bootstrap, properties=settings.properties)
    bus = KafkaBus(settings)
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
        print(line)


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
    return bus.read("coda-trace", bus.bounds(topic))
