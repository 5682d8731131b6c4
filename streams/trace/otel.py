"""Traced steps as OpenTelemetry spans: an event's way is one trace, and a batch, which holds many, is linked to each.

Needs the extra `otel`; nothing else here does.
"""

from collections.abc import Sequence
from typing import Protocol

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from xxhash import xxh3_64_intdigest, xxh3_128_intdigest

from wire.trace import TraceStep

_RESOURCE = Resource.create({"service.name": "coda-streaming"})
# What a step is done by, and the topic that says so, in OpenTelemetry's words for messaging.
_OPERATIONS = {
    "produced": ("send", "events", SpanKind.PRODUCER),
    "refused": ("send", "events.dlq", SpanKind.PRODUCER),
    "pooled": ("process", "samples", SpanKind.CONSUMER),
    "batched": ("process", "candidates", SpanKind.CONSUMER),
    "taken": ("receive", "coda/devices/{id}/candidates", SpanKind.CONSUMER),
    "trained": ("process", "coda/devices/{id}/candidates", SpanKind.CONSUMER),
}


class Exporter(Protocol):
    """What takes spans: OpenTelemetry's exporters do."""

    def export(self, spans: Sequence[ReadableSpan]) -> object:
        """Take these."""


def export(steps: Sequence[TraceStep], exporter: Exporter) -> None:
    """Hand these steps over as spans."""
    if spans := [_batch_span(step) if step.device else _event_span(step) for step in steps]:
        exporter.export(spans)


def otlp(url: str) -> Exporter:
    """An exporter to a collector that speaks OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    made: Exporter = OTLPSpanExporter(endpoint=url)
    return made


def _event_span(step: TraceStep) -> ReadableSpan:
    """From the production on, as a child of it: the production itself is the root."""
    root = _context(step.trace, "produced")
    own = _context(step.trace, step.step)
    return _span(step, own, parent=None if own.span_id == root.span_id else root, links=())


def _batch_span(step: TraceStep) -> ReadableSpan:
    """In the trace of its batch, with a link to the event that this is about."""
    batch = f"batch {step.batch_seq} for {step.device}"
    root, own = _context(batch, "batched"), _context(batch, f"{step.step} {step.trace}")
    return _span(step, own, parent=root, links=[Link(_context(step.trace, "produced"))])


def _context(trace: str, span: str) -> SpanContext:
    """The same for the same words, so that whoever exports twice adds nothing."""
    numbers = xxh3_128_intdigest(trace.encode()) or 1, xxh3_64_intdigest(f"{trace}/{span}".encode()) or 1
    return SpanContext(*numbers, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _span(step: TraceStep, own: SpanContext, *, parent: SpanContext | None, links: Sequence[Link]) -> ReadableSpan:
    operation, destination, kind = _OPERATIONS.get(step.step, ("process", step.step, SpanKind.INTERNAL))
    is_mqtt = destination.startswith("coda/")
    return ReadableSpan(
        name=f"{operation} {destination}",
        context=own,
        parent=parent,
        resource=_RESOURCE,
        kind=kind,
        links=links,
        attributes={
            "messaging.system": "mqtt" if is_mqtt else "kafka",
            "messaging.destination.template" if is_mqtt else "messaging.destination.name": destination,
            "messaging.operation.name": operation,
            "messaging.message.id": step.trace,
            "coda.what": step.what,
        },
        start_time=step.since_ms * 1_000_000,
        end_time=step.at_ms * 1_000_000,
    )
