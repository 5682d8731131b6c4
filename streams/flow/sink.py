"""The dataflow's output: one checked producer per process, for all topics.

Bytewax's own KafkaSink loses messages silently when the broker is away. Here an epoch ends only when Kafka has
acknowledged everything that was sent in it, so a resume never starts after a message that was lost.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from streams.bus import Bus, Producer, never
from streams.flow.blame import Blame
from wire.errors import DeliveryError

_CLOSE_S = 10.0  # the last epoch's snapshot has waited for everything already, unless there was a failure


class Outgoing(NamedTuple):
    """Messages for one topic, as many keys as values; `headers` go with each of them."""

    topic: str
    keys: list[bytes]
    values: list[bytes]
    headers: Mapping[str, bytes] | None = None


class KafkaOutput(FixedPartitionedSink[Outgoing, None]):
    """Writes what comes keyed by `part`, this process's own number, so that messages never change process.

    A Bytewax sink without parts would be simpler, but only one with parts is told when an epoch ends. `sent` hears of
    every topic to which something went.
    """

    def __init__(
        self,
        bus: Bus,
        process: int,
        blame: Blame,
        stopping: Callable[[], bool] = never,
        sent: Callable[[str], None] = lambda _topic: None,
    ) -> None:
        self.part = f"{process:05}"  # they are sorted as words
        self._bus = bus
        self._blame = blame
        self._stopping = stopping
        self._sent = sent

    def list_parts(self) -> list[str]:
        """Only this process's own part."""
        return [self.part]

    def part_fn(self, item_key: str) -> int:
        """Bytewax takes this as an index into the sorted parts of all processes."""
        return int(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "KafkaWriter":  # noqa: ARG002
        """The writer, with a producer of its own."""
        return KafkaWriter(self._bus.producer(stopping=self._stopping), self._blame, self._sent)


class KafkaWriter(StatefulSinkPartition[Outgoing, None]):
    """Hands messages to a producer; waits for the acknowledgements when the epoch ends."""

    def __init__(self, producer: Producer, blame: Blame, sent: Callable[[str], None]) -> None:
        self._producer = producer
        self._blame = blame
        self._sent = sent

    def write_batch(self, values: list[Outgoing]) -> None:
        """Queue messages; raises `DeliveryError` when an earlier one failed."""
        with self._blame:
            for outgoing in values:
                self._send(outgoing)
                self._sent(outgoing.topic)

    def snapshot(self) -> None:
        """End of the epoch: returns when Kafka has everything, however long it is away; raises `DeliveryError`."""
        with self._blame:
            self._producer.flush()

    def close(self) -> None:
        """The end of the dataflow, for good or ill: nothing may be raised here.

        After a failure Bytewax closes this in the middle of unwinding, and an exception from it aborts the process.
        """
        with contextlib.suppress(DeliveryError), self._blame:
            self._producer.flush(_CLOSE_S)

    def _send(self, outgoing: Outgoing) -> None:
        if outgoing.headers is None:
            self._producer.send_many(outgoing.topic, outgoing.keys, outgoing.values)
            return
        for key, value in zip(outgoing.keys, outgoing.values, strict=True):
            self._producer.send(outgoing.topic, key, value, headers=outgoing.headers)
