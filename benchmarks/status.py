"""What a process' pulse costs: CPU per beat (one a second), and bytes of the status.

    python -m benchmarks.status

An embedded Kafka with four partitions per topic, the two lookouts of a flow, and as many series as a busy process has.
"""

import io
import time

from monitor import metrics
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import EVENTS, FLOW_GROUP, REQUESTS
from streams.process.lookout import Lookout
from streams.process.pulse import Pulse
from wire.clock import SystemClock
from wire.status import Role, encode_status

BEATS = 200
SERIES = 10  # of each labelled metric


def main() -> None:
    """Measure and print."""
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
            Lookout(bus, clock, stage, FLOW_GROUP, topic)
            for stage, topic in {"pooled": EVENTS, "matched": REQUESTS}.items()
        ]
        pulse = Pulse(Role.FLOW, "0", bus, clock, lookouts, out=io.StringIO())
        pulse.beat()
        began_s, status = time.thread_time(), None
        for _ in range(BEATS):
            status = pulse.beat()
            pulse.show(status)
        cpu_ms = (time.thread_time() - began_s) * 1000 / BEATS
    assert status is not None
    print(f"{cpu_ms:.1f} ms of a core per beat, so {cpu_ms / 10:.2f} % of one; {len(encode_status(status)):,} bytes")


if __name__ == "__main__":
    main()
