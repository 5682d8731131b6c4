"""One event from the moment it was produced to the devices that trained on it, from what is on the topics (sans-I/O).

A batch does not say whose samples it holds. What can be told is which batches hold a sample of the same item, label and
second: with a log of any size that is this one, or its twin.
"""

from collections.abc import Iterable

import msgspec
import numpy as np

from streams.bus import Message
from wire.batch import decode_batch
from wire.candidates import Candidates
from wire.dead_letter import keys_of
from wire.event import Event, decode_event
from wire.grid import rounded_age_s
from wire.ids import item_key, sample_key
from wire.malformed import Malformed
from wire.outcome import Batches
from wire.sample import decode_record
from wire.telemetry import Ack, Training, decode_report


class Found(msgspec.Struct, frozen=True):
    """The event, where it lies in Kafka, and when it was produced (wall clock, ms)."""

    event: Event
    topic: str
    partition: int
    offset: int
    produced_ms: int


class Step(msgspec.Struct, frozen=True):
    """Something happened to it at `at_ms` (wall clock)."""

    at_ms: int
    what: str


def find(messages: Iterable[Message], event_id: str = "", user: str = "") -> Found | None:
    """The newest event of this id, or of this user, or of all; of one that came twice the first."""
    found: Found | None = None
    for message in messages:
        try:
            event = decode_event(message.value)
        except Malformed:
            continue
        if event_id not in {"", event.event_id} or user not in {"", event.user_id}:
            continue
        if found is None or (not event_id and message.timestamp_ms >= found.produced_ms):
            found = Found(event, message.topic, message.partition, message.offset, message.timestamp_ms)
    return found


def refused(messages: Iterable[Message], found: Found) -> list[Step]:
    """Whether it is among the dead letters, and why."""
    named, key = f'"{found.event.event_id}"'.encode(), sample_key(found.event.event_id)
    return [
        Step(message.timestamp_ms, f"refused: {message.headers.get('reason', b'?').decode()}")
        for message in messages
        if named in message.value or refused_key(message) == key
    ]


def refused_key(message: Message) -> int | None:
    """The sample key of an event that is among the dead letters; None of what can't be read."""
    try:
        return keys_of(message.value, message.headers.get("reason", b""))[0]
    except Malformed:
        return None


def pooled(messages: Iterable[Message], found: Found) -> list[Step]:
    """When its sample went into the pool, and on to the trainer."""
    key = sample_key(found.event.event_id)
    steps = []
    for message in messages:
        try:
            if decode_record(message.value).sample == key:
                steps.append(Step(message.timestamp_ms, "its sample is in the pool"))
        except Malformed:
            continue
    return steps[:1]


def batched(messages: Iterable[Message], found: Found) -> dict[tuple[str, int], Step]:
    """The batches that hold a sample like it, by device and number."""
    steps = {}
    for message in messages:
        if message.timestamp_ms < found.produced_ms:
            continue
        try:
            batch = decode_batch(message.value)
        except Malformed:
            continue
        age_s = (batch.query_timestamp - found.event.timestamp) // 1000
        places = {"matched": batch.matched, "random": batch.random}
        item, label = item_key(found.event.item_id), found.event.label
        if kinds := [name for name, samples in places.items() if holds(samples, item, label, age_s)]:
            said = f"in batch {batch.batch_seq} for {batch.user_id}, {' and '.join(kinds)}"
            steps[batch.user_id, batch.batch_seq] = Step(message.timestamp_ms, said)
    return steps


def used(messages: Iterable[Message], batches: Iterable[tuple[str, int]]) -> list[Step]:
    """What devices did with these batches: that they took them, and that they trained on them."""
    wanted, trained = set(batches), set[tuple[str, int]]()
    steps = []
    for message in messages:
        try:
            report = decode_report(message.value)
        except Malformed:
            continue
        if isinstance(report, Ack) and (report.user_id, report.batch_seq) in wanted:
            outcome = "took" if report.outcome is Batches.ACCEPTED else f"did not take ({report.outcome})"
            steps.append(Step(message.timestamp_ms, f"{report.user_id} {outcome} batch {report.batch_seq}"))
        elif isinstance(report, Training) and (batch := (report.user_id, report.trained_seq)) in wanted - trained:
            trained.add(batch)
            steps.append(Step(message.timestamp_ms, f"{report.user_id} trained on batch {report.trained_seq}"))
    return steps


def holds(samples: Candidates, item: int, label: int, age_s: int) -> bool:
    """Whether one of these samples is of this item and label, and as old, as far as ages travel."""
    alike = (samples.item == item) & (samples.label == label)
    return age_s >= 0 and bool(np.any(alike & (samples.age_s == rounded_age_s(age_s))))
