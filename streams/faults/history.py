"""What went through Kafka in a run, noted while it runs: the embedded broker forgets, and a verdict needs all of it."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from streams.bus import Message
from streams.kafka.admin import ensure_topics
from streams.kafka.bounds import bounds
from streams.kafka.connection import KafkaSettings
from streams.kafka.consumer import BatchConsumer
from streams.kafka.topics import BEHAVIOUR, CANDIDATES, DEAD_LETTERS, EVENTS, SAMPLES, TELEMETRY
from wire.canary import is_canary
from wire.dead_letter import keys_of
from wire.event import decode_event
from wire.identity import ModelId
from wire.ids import sample_key, user_key
from wire.malformed import Malformed
from wire.outcome import Batches
from wire.push_headers import PushHeaders, addressee
from wire.reason import Reason
from wire.sample import decode_record
from wire.telemetry import Ack, Training, decode_report

TOPICS = (BEHAVIOUR, EVENTS, DEAD_LETTERS, SAMPLES, CANDIDATES, TELEMETRY)
Batch = tuple[str, int]  # device and number


@dataclass
class History:
    """Events by key, batches by device and number; times are wall clock in ms, the first one of each."""

    attempted: dict[int, int] = field(default_factory=dict)
    acknowledged: dict[int, int] = field(default_factory=dict)
    delivered: Counter[int] = field(default_factory=Counter)  # how often each event is in Kafka
    pooled: dict[int, int] = field(default_factory=dict)  # when the sample came out
    refused: set[int] = field(default_factory=set)
    refused_of: set[int] = field(default_factory=set)  # the users of what was refused
    stamped: dict[int, int] = field(default_factory=dict)  # when each event was, by the first that said so
    restamped_of: set[int] = field(default_factory=set)  # the users of those that came up with another time
    batches: dict[Batch, int] = field(default_factory=dict)  # when matched
    answers: dict[Batch, int] = field(default_factory=dict)  # when the cloud heard of it
    # The answers `accepted` by how many batches the device had taken by then: a batch that comes again is answered
    # again, and only if that number has grown was it taken again.
    accepted: dict[Batch, set[int]] = field(default_factory=dict)
    made_by: dict[Batch, ModelId] = field(default_factory=dict)  # the cloud model of each batch
    answered_as: dict[Batch, ModelId] = field(default_factory=dict)  # the same, as its device says
    used: dict[tuple[str, int, int], ModelId] = field(default_factory=dict)  # by device, boot and number of the report
    reports: dict[str, Training] = field(default_factory=dict)  # each device's newest

    def note(self, message: Message) -> None:
        """Take in one message of one of `TOPICS`."""
        with suppress(Malformed):  # what somebody sent that is no event: nobody's loss
            self._TAKERS[message.topic](self, message)

    def rows(self) -> Iterator[dict[str, object]]:
        """One row for each event and each batch: what `history.jsonl` holds; keys as text, for readers of JSON."""
        for key in self.attempted.keys() | self.acknowledged.keys():
            yield {
                "event": f"{key:016x}",
                "attempted_ms": self.attempted.get(key),
                "acknowledged_ms": self.acknowledged.get(key),
                "delivered": self.delivered[key],
                "pooled_ms": self.pooled.get(key),
                "refused": key in self.refused,
            }
        for (device, seq), at_ms in self.batches.items():
            yield {
                "device": device,
                "batch": seq,
                "matched_ms": at_ms,
                "answered_ms": self.answers.get((device, seq)),
                "accepted": len(self.accepted.get((device, seq), ())),
            }

    def _attempt(self, message: Message) -> None:
        self.attempted.setdefault(self._key(message), message.timestamp_ms)

    def _acknowledge(self, message: Message) -> None:
        key = self._key(message)
        self.acknowledged.setdefault(key, message.timestamp_ms)
        self.delivered[key] += 1

    def _key(self, message: Message) -> int:
        """Of the event; a device whose clock is wrong stamps it anew."""
        event = decode_event(message.value)
        key = sample_key(event.event_id)
        if self.stamped.setdefault(key, event.timestamp) != event.timestamp:
            self.restamped_of.add(user_key(event.user_id))
        return key

    def _refuse(self, message: Message) -> None:
        reason = message.headers.get("reason", b"")
        if reason == Reason.DUPLICATE.encode():
            return  # of an event that counts already
        sample, user = keys_of(message.value, reason)
        self.refused.add(sample)
        self.refused_of.add(user)

    def _pool(self, message: Message) -> None:
        self.pooled.setdefault(decode_record(message.value).sample, message.timestamp_ms)

    def _match(self, message: Message) -> None:
        headers = PushHeaders.decode(message.headers)
        device = addressee(message.key)
        if is_canary(device):
            return
        batch = device, headers.seq
        self.batches.setdefault(batch, headers.matched_ms)
        self.made_by.setdefault(batch, headers.model)

    def _report(self, message: Message) -> None:
        report = decode_report(message.value)
        if is_canary(report.user_id):
            return
        if isinstance(report, Ack):
            self._answer(report, message.timestamp_ms)  # a device's own clock may be hours off
        elif isinstance(report, Training):
            self.used[report.user_id, report.boot, report.sequence] = report.model
            newest = self.reports.get(report.user_id)
            if newest is None or (newest.boot, newest.sequence) < (report.boot, report.sequence):
                self.reports[report.user_id] = report

    def _answer(self, ack: Ack, at_ms: int) -> None:
        batch = (ack.user_id, ack.batch_seq)
        self.answers.setdefault(batch, at_ms)
        self.answered_as.setdefault(batch, ack.model)
        if ack.outcome == Batches.ACCEPTED:
            self.accepted.setdefault(batch, set()).add(ack.batches.get(Batches.ACCEPTED, 0))

    _TAKERS = {  # noqa: RUF012
        BEHAVIOUR: _attempt,
        EVENTS: _acknowledge,
        DEAD_LETTERS: _refuse,
        SAMPLES: _pool,
        CANDIDATES: _match,
        TELEMETRY: _report,
    }


class Historian:
    """Reads along in a thread of its own while the context is open; `history` is what there was so far."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.history = History()
        self._kafka, self._over = kafka, threading.Event()
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._read, name="historian", daemon=True)

    def __enter__(self) -> "Historian":
        ensure_topics(self._kafka)
        self._partitions = {partition: 0 for topic in TOPICS for partition in bounds(self._kafka, topic)}
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop once all that is there has been read; raises what went wrong."""
        self._over.set()
        self._thread.join()
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed

    def _read(self) -> None:
        try:
            with BatchConsumer(self._kafka, "coda-historian", [], assign=self._partitions) as consumer:
                quiet = 0  # looks since it is over: a consumer that rested hears of what came a moment later
                while quiet < 3:
                    over = self._over.is_set()
                    messages = consumer.poll(1000, 0.2)
                    quiet = quiet + 1 if over and not messages else 0
                    for message in messages:
                        self.history.note(message)
        except Exception as error:
            self._failed = error
