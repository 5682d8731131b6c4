"""Follows one event in a thousand, and every canary, through the topics as messages come (sans-I/O).

It reads along in a process of its own, so that nothing on the way of an event waits for it. What it finds out goes to a
small topic, which outlives those that it was read from.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from monitor.seldom import Seldom
from streams.bus import Message
from streams.kafka.topics import CANDIDATES, DEAD_LETTERS, EVENTS, REQUESTS, SAMPLES, TELEMETRY
from streams.times import span
from streams.trace.trace import holds, refused_key
from wire.arrays import U64
from wire.batch import decode_batch
from wire.canary import is_canary
from wire.candidates import CandidateBatch
from wire.event import decode_event
from wire.ids import sample_key
from wire.malformed import Malformed
from wire.outcome import Batches
from wire.sample import SampleRecord, decode_record
from wire.telemetry import Ack, MatchRequest, Training, decode_report
from wire.trace import TraceStep, is_traced

READ = (EVENTS, DEAD_LETTERS, SAMPLES, REQUESTS, CANDIDATES, TELEMETRY)
MOST_SAMPLES, MOST_BATCHES = 5_000, 20_000  # the newest: those of five million events, 400 bytes each
Batch = tuple[str, int]


class Tracer:
    """`take` says what a message tells of what is traced, and warns of what can not be read."""

    def __init__(self) -> None:
        self._seldom = Seldom()
        self._since: dict[str, int] = {}  # trace: when it was produced
        self._pooled: dict[int, SampleRecord] = {}
        self._items: U64 = np.zeros(0, np.uint64)
        self._batches: dict[Batch, set[str]] = {}
        self._trained: set[Batch] = set()

    def take(self, message: Message) -> Iterator[TraceStep]:
        """What it tells; most tell nothing."""
        try:
            yield from self._TAKERS[message.topic](self, message)
        except Malformed as error:
            self._seldom.warning(f"passed over a message of the topic {message.topic}: {error}")

    def _produced(self, message: Message) -> Iterator[TraceStep]:
        event = decode_event(message.value)
        if is_traced(key := sample_key(event.event_id)):
            where = f"{message.topic}[{message.partition}]@{message.offset}"
            what = f"event {event.event_id}: {event.item_id}, label {event.label}, produced to {where}"
            yield self._step(f"{key:016x}", "produced", message.timestamp_ms, what, user=event.user_id)

    def _refused(self, message: Message) -> Iterator[TraceStep]:
        if message.headers.get("what") not in {b"event", None}:
            return
        key = refused_key(message)
        if key is not None and is_traced(key):
            why = message.headers.get("reason", b"?").decode()
            yield self._step(f"{key:016x}", "refused", message.timestamp_ms, f"refused: {why}")

    def _sampled(self, message: Message) -> Iterator[TraceStep]:
        record = decode_record(message.value)
        if is_traced(record.sample):
            self._pooled[record.sample] = record
            while len(self._pooled) > MOST_SAMPLES:
                del self._pooled[next(iter(self._pooled))]
            self._items = np.array([each.item for each in self._pooled.values()], np.uint64)
            trace = f"{record.sample:016x}"
            yield self._step(trace, "pooled", message.timestamp_ms, "its sample is in the pool")

    def _requested(self, message: Message) -> Iterator[TraceStep]:
        request = decode_report(message.value)
        if isinstance(request, MatchRequest) and is_canary(request.user_id):
            sent_ms = request.newest_seq + 1  # a canary's number is when it was sent, and it asks for the batch after
            trace = self._canary(request.user_id, sent_ms)
            yield self._step(trace, "produced", message.timestamp_ms, "in the topic requests", user=request.user_id)

    def _matched(self, message: Message) -> Iterator[TraceStep]:
        batch = decode_batch(message.value)
        if is_canary(batch.user_id):
            trace = self._canary(batch.user_id, batch.batch_seq)
            words = "through the dataflow and all shards, in the topic candidates"
            yield self._step(trace, "batched", message.timestamp_ms, words, user=batch.user_id)
            return
        place = batch.user_id, batch.batch_seq
        for record, kinds in self._within(batch):
            trace = f"{record.sample:016x}"
            self._batches.setdefault(place, set()).add(trace)
            said = f"in batch {batch.batch_seq} for {batch.user_id}, {kinds}"
            yield self._step(trace, "batched", message.timestamp_ms, said, batch=place)
        while len(self._batches) > MOST_BATCHES:
            gone = next(iter(self._batches))
            del self._batches[gone]
            self._trained.discard(gone)

    def _within(self, batch: CandidateBatch) -> Iterator[tuple[SampleRecord, str]]:
        """The traced samples that a batch holds, they or their twins: it does not say whose its samples are."""
        places = {"matched": batch.matched, "random": batch.random}
        inside = np.isin(self._items, np.concatenate([samples.item for samples in places.values()]))
        records = list(self._pooled.values()) if inside.any() else []
        for record in (records[n] for n in np.flatnonzero(inside)):
            kinds = [
                name
                for name, samples in places.items()
                if holds(samples, record.item, record.label, (batch.query_timestamp - record.timestamp) // 1000)
            ]
            if kinds:
                yield record, " and ".join(kinds)

    def _reported(self, message: Message) -> Iterator[TraceStep]:
        report = decode_report(message.value)
        if is_canary(report.user_id):
            yield from self._arrived(report, message)
            return
        if isinstance(report, Ack):
            place, step = (report.user_id, report.batch_seq), "taken"
            outcome = "took" if report.outcome is Batches.ACCEPTED else f"did not take ({report.outcome})"
            said = f"{report.user_id} {outcome} batch {report.batch_seq}"
        elif isinstance(report, Training) and (report.user_id, report.trained_seq) not in self._trained:
            place, step = (report.user_id, report.trained_seq), "trained"
            said = f"{report.user_id} trained on batch {report.trained_seq}"
        else:
            return
        traces = self._batches.get(place, ())
        if traces and step == "trained":
            self._trained.add(place)
        for trace in sorted(traces):
            yield self._step(trace, step, message.timestamp_ms, said, batch=place)

    def _arrived(self, report: object, message: Message) -> Iterator[TraceStep]:
        """A canary's device answers for it; how long it was on its way, its own clock says alone."""
        if isinstance(report, Ack):
            said = f"back at its device {span((report.received_ms - report.batch_seq) / 1000)} after it was sent"
            trace = self._canary(report.user_id, report.batch_seq)
            yield self._step(trace, "taken", message.timestamp_ms, said, user=report.user_id)

    def _canary(self, user_id: str, number: int) -> str:
        """What its trace is called; its number is when it was sent."""
        trace = f"{user_id}#{number}"
        self._since[trace] = number
        return trace

    def _step(
        self, trace: str, step: str, at_ms: int, what: str, *, user: str = "", batch: Batch = ("", -1)
    ) -> TraceStep:
        since_ms = self._since.setdefault(trace, at_ms)
        while len(self._since) > MOST_BATCHES:
            del self._since[next(iter(self._since))]
        device, seq = batch
        return TraceStep(
            trace=trace,
            user_id=user,
            step=step,
            since_ms=since_ms,
            at_ms=at_ms,
            what=what,
            device=device,
            batch_seq=seq,
        )

    _TAKERS: Mapping[str, Callable[["Tracer", Message], Iterator[TraceStep]]] = {
        EVENTS: _produced,
        DEAD_LETTERS: _refused,
        SAMPLES: _sampled,
        REQUESTS: _requested,
        CANDIDATES: _matched,
        TELEMETRY: _reported,
    }
