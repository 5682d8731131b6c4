"""Statuses from Kafka, as they come: whoever watches needs Kafka's address and nothing else."""

from typing import Self

from streams.bus import Bus
from streams.kafka.topics import STATUS
from streams.watch.fold import Fold
from wire.errors import InputError
from wire.malformed import Malformed
from wire.status import decode_status

_GROUP = "coda-watch"


class StatusReader:
    """Feeds a `Fold` with the topic `status`, from its beginning on; `refused` counts what is no status.

    Raises `InputError` for a Kafka that has no such topic.
    """

    def __init__(self, bus: Bus) -> None:
        begin = dict.fromkeys(bus.bounds(STATUS))
        if not begin:
            raise InputError(f"{bus.name} has no topic {STATUS}: no process of ours has ever run there")
        self.fold, self.refused = Fold(), 0
        self._ends = {partition: end for partition, (_, end) in bus.bounds(STATUS).items()}
        self._consumer = bus.consumer(_GROUP, [STATUS], "earliest", assign=begin)

    def poll(self, timeout_s: float = 0.1) -> int:
        """Take in what has come; how many there were."""
        messages = self._consumer.poll(timeout_s=timeout_s)
        for message in messages:
            try:
                self.fold.take(decode_status(message.value), message.timestamp_ms)
            except Malformed:
                self.refused += 1
        return len(messages)

    @property
    def caught_up(self) -> bool:
        """Whether everything was read that was there at the start."""
        positions = self._consumer.positions()
        return all(end == 0 or positions.get(partition, -1) >= end for partition, end in self._ends.items())

    def close(self) -> None:
        """Let the connection go."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
