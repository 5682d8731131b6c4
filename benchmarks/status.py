"""What monitoring costs a flow: CPU per beat of its pulse (one a second), bytes of the status, and its share of all.

    python -m benchmarks.status

An embedded Kafka with four partitions per topic, the two lookouts of a flow, and as many series as a busy process has.
The share is of what the dataflow takes for `PACE` events without Kafka: the beat of a second, and for these events the
ages that are counted, the counters, and the passes that tell canaries from people.
"""

import io
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.flow_profile import in_process
from models.cloud_model import random_model
from monitor.freshness import observe_freshness
from monitor.metrics import Metrics
from operators.canary import canaries, people
from operators.decode import Arrival
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import EVENTS, FLOW_GROUP, REQUESTS
from streams.process.lookout import Lookout
from streams.process.pulse import Pulse
from wire.clock import SystemClock
from wire.event import Event, encode_event
from wire.ids import item_keys
from wire.moments import WallMs
from wire.status import Role, encode_status

BEATS = 200
SERIES = 10  # of each labelled metric
PACE = 5000  # events a second
_PASS = 100  # events in a pass of the dataflow at this pace: 20 ms


def main() -> None:
    """Measure and print."""
    metrics = Metrics()
    for n in range(SERIES):
        for labelled in (metrics.rejected, metrics.matches, metrics.trainings, metrics.batches):
            labelled.labels(f"label {n}").inc()
    for stage in ("pooled", "matched"):
        metrics.freshness_s.labels(stage).observe(0.1)
    clock = SystemClock()
    with EmbeddedKafka() as kafka:
        bus = KafkaBus(KafkaSettings(kafka.bootstrap))
        ensure_topics(bus.settings)
        lookouts = [
            Lookout(bus, clock, metrics, stage=stage, group=FLOW_GROUP, topic=topic)
            for stage, topic in {"pooled": EVENTS, "matched": REQUESTS}.items()
        ]
        pulse = Pulse(Role.FLOW, "0", bus, clock, metrics, lookouts=lookouts, out=io.StringIO())
        pulse.beat()
        began_s, status = time.thread_time(), None
        for _ in range(BEATS):
            status = pulse.beat()
            pulse.show(status)
        cpu_ms = (time.thread_time() - began_s) * 1000 / BEATS
    assert status is not None
    print(f"{cpu_ms:.1f} ms of a core per beat, so {cpu_ms / 10:.2f} % of one; {len(encode_status(status)):,} bytes")
    events = [Event(f"e{n}", f"u{n % 500}", f"i{n * 7919 % 1000}", "c", "click", 1, n * 1000) for n in range(PACE)]
    seen_ms, flow_ms = per_event_ms(events, metrics), dataflow_ms(events)
    share = (cpu_ms + seen_ms) / flow_ms
    print(f"{cpu_ms + seen_ms:.1f} of {flow_ms:.0f} ms of a core for {PACE:,} events and a second: {share:.1%}")


def per_event_ms(events: list[Event], metrics: Metrics) -> float:
    """CPU for what monitoring does with so many events."""
    arrivals = [(event.user_id, Arrival.of(event, WallMs(0))) for event in events]
    began_s = time.thread_time()
    for at in range(0, len(arrivals), _PASS):
        some = arrivals[at : at + _PASS]
        people(some)
        canaries(some)
        observe_freshness(metrics, "pooled", np.zeros(len(some), np.int64), 100)
        metrics.pooled.inc(len(some))
        metrics.event_frontier_s.labels("pooled").set(at)
    return (time.thread_time() - began_s) * 1000


def dataflow_ms(events: list[Event]) -> float:
    """CPU for the dataflow with so many events, all of it."""
    torch.set_num_threads(1)
    model = random_model(item_keys([f"i{n}" for n in range(1000)]), item_keys(["c"]), seed=0, version=1)
    with tempfile.TemporaryDirectory() as folder:
        took_s, _ = in_process([encode_event(event) for event in events], model, Path(folder))
    return took_s * 1000


if __name__ == "__main__":
    main()
