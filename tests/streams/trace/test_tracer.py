"""One event in a thousand, and each canary, step by step as messages come; as OpenTelemetry's spans, too."""

from collections.abc import Iterator
from itertools import chain, count, islice

import numpy as np
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from streams.bus import Message
from streams.kafka.topics import CANDIDATES, DEAD_LETTERS, EVENTS, REQUESTS, SAMPLES, TELEMETRY
from streams.trace.otel import export
from streams.trace.tracer import Tracer
from tests.streams.trace.test_trace import AT_MS, NOW_MS, batch
from tests.wire.reports import ack, training
from wire.batch import encode_batch
from wire.canary import canary_id
from wire.candidates import CandidateBatch, no_candidates
from wire.event import Event, encode_event
from wire.identity import ModelId
from wire.ids import item_key, sample_key, user_key
from wire.sample import SampleRecord, encode_record
from wire.telemetry import MatchRequest, encode_report
from wire.trace import ONE_IN, TraceStep, is_traced, trace_of

TRACED = next(f"e{n}" for n in range(10 * ONE_IN) if is_traced(sample_key(f"e{n}")))


def message(topic: str, value: bytes, after_ms: int, headers: dict[str, bytes] | None = None) -> Message:
    return Message(topic, 0, 7, b"", value, NOW_MS + after_ms, headers or {})


def event(event_id: str) -> bytes:
    return encode_event(Event(event_id, "ann", "song", "pop", "click", 1, AT_MS))


def sample(event_id: str) -> bytes:
    key, song = sample_key(event_id), item_key("song")
    return encode_record(SampleRecord(key, user_key("ann"), song, item_key("pop"), 1, 0, AT_MS, NOW_MS, b"", b""))


def way() -> Iterator[Message]:
    """A traced event and one that is not, all the way."""
    for event_id in (TRACED, "e1"):
        yield message(EVENTS, event(event_id), 0)
        yield message(SAMPLES, sample(event_id), 100)
    yield message(CANDIDATES, batch(7, "song", 3600), 2000)
    yield message(CANDIDATES, batch(8, "song", 4200), 2500)
    yield message(CANDIDATES, batch(9, "other", 3600), 2600)
    yield message(TELEMETRY, encode_report(ack("bob", 7)), 3000)
    yield message(TELEMETRY, encode_report(training("bob", 5, 1.0, trained_seq=7)), 9000)
    yield message(TELEMETRY, encode_report(training("bob", 6, 1.0, trained_seq=7)), 99_000)


def steps(messages: Iterator[Message]) -> list[TraceStep]:
    tracer = Tracer()
    return [step for each in messages for step in tracer.take(each)]


def test_a_traced_event_is_followed_to_who_trained_on_it_and_others_are_not() -> None:
    found = steps(way())
    assert {step.trace for step in found} == {trace_of(TRACED)}
    assert [(step.step, step.at_ms - step.since_ms) for step in found] == [
        ("produced", 0),
        ("pooled", 100),
        ("batched", 2000),
        ("taken", 3000),
        ("trained", 9000),
    ]
    assert found[0].user_id == "ann" and f"event {TRACED}" in found[0].what and found[3].device == "bob"


def test_a_traced_event_that_was_refused_says_why() -> None:
    refused = message(DEAD_LETTERS, event(TRACED), 20, {"what": b"event", "reason": b"late"})
    assert [step.what for step in steps(iter([refused]))] == ["refused: late"]
    left = message(DEAD_LETTERS, sample(TRACED), 20, {"what": b"event", "reason": b"window"})
    assert [step.what for step in steps(iter([left]))] == ["refused: window"], "by the pool, which has its sample alone"


def test_a_dead_letter_that_is_no_event_is_nothing_to_warn_of() -> None:
    with capture_logs() as said:
        assert steps(iter([message(DEAD_LETTERS, b"hello", 0, {"what": b"event", "reason": b"malformed"})])) == []
    assert said == []


def test_each_canary_is_followed_through_the_dataflow_and_back() -> None:
    name = canary_id("one")
    sent = message(REQUESTS, encode_report(MatchRequest(name, "canary", NOW_MS - 1)), 30)
    empty = CandidateBatch(
        name, NOW_MS, ModelId("", 1), AT_MS, 0, 0, no_candidates(), np.zeros(0, np.float16), no_candidates()
    )
    came = message(CANDIDATES, encode_batch(empty), 250)
    back = ack(name, NOW_MS, received_ms=NOW_MS + 260)
    found = steps(iter([sent, came, message(TELEMETRY, encode_report(back), 300)]))
    assert [(step.trace, step.step, step.at_ms - step.since_ms) for step in found] == [
        (f"{name}#{NOW_MS}", "produced", 30),
        (f"{name}#{NOW_MS}", "batched", 250),
        (f"{name}#{NOW_MS}", "taken", 300),
    ]
    assert found[-1].what == "back at its device 260 ms after it was sent"


def test_of_what_can_not_be_read_one_line_is_said_and_the_rest_goes_on() -> None:
    broken = message(EVENTS, b"{", 0)
    with capture_logs() as said:
        assert steps(chain([broken, broken], way())) == steps(way())
    (line,) = said
    assert line["event"].startswith(f"passed over a message of the topic {EVENTS}: ")


def test_of_many_samples_only_the_newest_are_looked_for_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.trace.tracer.MOST_SAMPLES", 2)
    traced = list(islice((name for n in count() if is_traced(sample_key(name := f"b{n}"))), 3))
    pooled = (message(SAMPLES, sample(name), 0) for name in traced)
    found = steps(chain(pooled, [message(CANDIDATES, batch(7, "song", 3600), 2000)]))
    assert [step.trace for step in found if step.step == "batched"] == [trace_of(name) for name in traced[1:]]


def test_spans_are_a_trace_of_the_event_and_batches_are_linked_to_it() -> None:
    memory = InMemorySpanExporter()
    export(steps(way()), memory)
    produced, pooled, *of_batch = memory.get_finished_spans()
    assert produced.name == "send events" and produced.parent is None
    assert pooled.parent == produced.context
    assert (pooled.start_time, pooled.end_time) == (NOW_MS * 1_000_000, (NOW_MS + 100) * 1_000_000)
    assert [span.name.split()[0] for span in of_batch] == ["process", "receive", "process"]
    for span in of_batch:
        (link,) = span.links
        assert link.context == produced.context and span.context.trace_id != produced.context.trace_id
    taken = dict(of_batch[1].attributes or {})
    assert taken["messaging.destination.template"] == "coda/devices/{id}/candidates"
    assert len({span.context.trace_id for span in of_batch}) == 1
