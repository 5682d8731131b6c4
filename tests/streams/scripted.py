"""A producer and a bus that do what a test says, for what stands on them alone."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from streams.bus import Message, Partition
from wire.errors import ConnectionFailed, DeliveryError


class ScriptedProducer:
    """Has everything once `takes`; fails for good once `fails`, and with what is sent beyond the first `most`."""

    def __init__(self) -> None:
        self.takes, self.fails, self.most = True, False, sys.maxsize
        self.sent: list[tuple[str, bytes]] = []

    def send(self, topic: str, _key: Any, value: bytes, **_: Any) -> None:
        if len(self.sent) >= self.most:
            raise DeliveryError("refused")
        self.sent.append((topic, value))

    def settled(self, _timeout_s: float = 0.0) -> bool:
        if self.fails:
            raise DeliveryError("refused")
        return self.takes

    def flush(self, _timeout_s: float = float("inf")) -> None:
        if not self.settled():
            raise DeliveryError("in time")


class ScriptedBus:
    """Makes scripted producers; `ends` says where topics end, or raises; `there` can be read unless it is `away`."""

    name = "Kafka at nowhere"

    def __init__(self, ends: Callable[[], int] = lambda: 0, there: Sequence[Message] = ()) -> None:
        self.producers: list[ScriptedProducer] = []
        self._ends, self._there = ends, there
        self.away = False

    def producer(self, **_: Any) -> ScriptedProducer:
        self.producers.append(ScriptedProducer())
        return self.producers[-1]

    def bounds(self, topic: str) -> dict[tuple[str, int], tuple[int, int]]:
        return {(topic, 0): (0, self._ends())}

    def read(self, _group: str, between: Mapping[Partition, tuple[int, int]]) -> Iterator[Message]:
        if self.away:
            raise ConnectionFailed("away")
        for message in self._there:
            first, end = between[message.topic, message.partition]
            if first <= message.offset < end:
                yield message
