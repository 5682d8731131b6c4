import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from operators.event_time import End
from streams.bus import Message, Partition
from streams.flow.blame import Blame
from streams.flow.source import KafkaInput, KafkaPart, Reader
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import EVENTS, REQUESTS
from streams.simulation.bus import SimulatedBus
from tests.streams.flow.world import PARTITIONS, World, stream, wait_until
from wire.clock import SystemClock
from wire.errors import InputError
from wire.moments import SteadyMs, WallMs


@pytest.fixture
def world() -> Iterator[World]:
    with EmbeddedKafka() as kafka:
        yield World(kafka.bootstrap)


class Parts:
    """The parts of `events` and `requests` as Bytewax would build and drive them."""

    def __init__(self, world: World, offsets: dict[str, int] | None = None) -> None:
        self.rests_s: list[float] = []
        self.ends: list[str] = []  # of the partitions that were read to their ends
        self.reader = Reader(world.bus, Blame(), SystemClock(), self._rest)
        self.ready = True
        self.stopping = False
        self.source = KafkaInput(
            self.reader,
            [(topic, number) for topic in (EVENTS, REQUESTS) for number in range(PARTITIONS)],
            ready=lambda: self.ready,
            stopping=lambda: self.stopping,
        )
        self.parts: dict[str, KafkaPart] = {
            name: self.source.build_part("kafka", name, (offsets or {}).get(name)) for name in self.source.list_parts()
        }

    def _rest(self, seconds: float) -> None:
        self.rests_s.append(seconds)
        time.sleep(seconds)

    def read(self) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {name: [] for name in self.parts}
        for name, part in self.parts.items():
            for one in part.next_batch():
                if isinstance(one, End):
                    self.ends.append(f"{one.topic}/{one.partition}")
                else:
                    found[name].append(one.value)
        return found

    def read_until(self, n: int) -> list[bytes]:
        found: list[bytes] = []

        def enough() -> bool:
            found.extend(value for values in self.read().values() for value in values)
            return len(found) >= n

        wait_until(enough, f"{n} messages")
        return found

    def epoch(self) -> dict[str, int]:
        """What Bytewax would keep at the end of an epoch."""
        kept = {name: part.snapshot() for name, part in self.parts.items()}
        return {name: offset for name, offset in kept.items() if offset is not None}


def test_reads_everything_once_and_goes_on_at_the_saved_offsets(world: World) -> None:
    world.send(stream(100))
    first = Parts(world)
    seen = first.read_until(100)
    saved = first.epoch()
    world.send(stream(30, first=100))
    again = Parts(world, saved)
    seen += again.read_until(30)
    assert len(seen) == len(set(seen)) == 130
    first.reader.close()
    again.reader.close()


def test_the_end_of_each_partition_comes_once_behind_what_was_there(world: World) -> None:
    world.send(stream(100))
    parts = Parts(world)
    parts.read_until(100)
    wait_until(lambda: not any(parts.read().values()) and len(parts.ends) >= len(parts.parts), "all ends")
    world.send(stream(30, first=100))
    parts.read_until(30)
    assert sorted(parts.ends) == sorted(parts.parts)
    parts.reader.close()


def test_positions_reach_the_group_only_when_the_dataflow_is_through(world: World) -> None:
    world.send(stream(100))
    parts = Parts(world)
    parts.read_until(100)
    assert world.lag() == 100
    parts.epoch()
    assert world.lag() == 100  # the epoch has ended, but its messages may still be on their way
    parts.read()  # Bytewax asks again only when they are not
    parts.reader.close()
    wait_until(lambda: world.lag() == 0, "the positions in the group")


def test_an_epoch_ends_until_the_dataflow_asks_for_more(world: World) -> None:
    parts = Parts(world)
    parts.read()
    assert not parts.source.epoch_ends()
    parts.epoch()
    assert parts.source.epoch_ends()
    parts.read()
    assert not parts.source.epoch_ends()
    parts.reader.close()


def test_reads_nothing_before_it_may_and_ends_when_told(world: World) -> None:
    world.send(stream(10))
    parts = Parts(world)
    parts.ready = False
    assert not any(parts.read().values())
    parts.ready = True
    parts.read_until(10)
    parts.stopping = True
    with pytest.raises(StopIteration):
        parts.parts["events/0"].next_batch()
    parts.reader.close()


def test_rests_only_while_there_is_nothing_and_never_by_the_wall_clock(world: World) -> None:
    world.send(stream(1))
    parts = Parts(world)
    parts.read_until(1)
    began = time.monotonic()
    for _ in range(20):
        parts.read()
    assert 0.05 < time.monotonic() - began < 5
    # Bytewax waits for the time it is given by the wall clock, which may be set back at any moment.
    assert all(part.next_awake() == datetime.fromtimestamp(0, UTC) for part in parts.parts.values())
    parts.reader.close()


def test_rests_between_few_events_and_not_between_many(world: World) -> None:
    world.send(stream(3000))
    parts = Parts(world)
    parts.read_until(3000)
    assert sum(parts.rests_s) < 0.1, "there was more nearly always"
    world.send(stream(1))
    parts.read_until(1)
    began, rested = time.monotonic(), len(parts.rests_s)
    world.send(stream(1))
    parts.read_until(1)
    assert time.monotonic() - began > 0.01 and len(parts.rests_s) > rested, "it came soon after another"
    parts.reader.close()


class SetClock:
    """Says what the test sets."""

    now_ms = 0

    def wall_ms(self) -> WallMs:
        return WallMs(self.now_ms)

    def steady_ms(self) -> SteadyMs:
        return SteadyMs(self.now_ms)


class Given(SimulatedBus):
    """A bus whose one consumer has these messages, so many at each poll."""

    def __init__(self, *polls: int) -> None:
        self._polls = list(polls)
        self.waited_s: list[float] = []

    def consumer(self, *_: Any, **__: Any) -> Any:
        return self

    def bounds(self, *_: Any, **__: Any) -> dict[Partition, tuple[int, int]]:
        return {}

    def poll(self, _most: int, timeout_s: float) -> list[Message]:
        self.waited_s.append(timeout_s)
        n = self._polls.pop(0) if self._polls else 0
        return [Message(EVENTS, 0, at, b"", b"", 0, {}) for at in range(n)]


@pytest.mark.parametrize(
    ("after_ms", "came", "took_ms", "rests_ms"),
    [
        (20, 64, 5, 15),  # as many come while it rests
        (20, 32, 5, 35),
        (20, 32, 24, 24),  # what takes long takes a third of the time
        (20, 20, 5, 45),  # nothing waits longer than that
        (2000, 1, 5, 45),
        (20, 20, 200, 0),
    ],
)
def test_passes_are_as_far_apart_as_enough_events_need_and_the_further_the_longer_they_take(
    after_ms: int, came: int, took_ms: int, rests_ms: int
) -> None:
    rests_s: list[float] = []
    clock = SetClock()
    reader = Reader(Given(came), Blame(), clock, rests_s.append, linger_ms=50)
    reader.add((EVENTS, 0), 0)
    clock.now_ms = after_ms
    assert len(reader.take((EVENTS, 0))) == came and not rests_s, "who comes first waits for nothing"
    reader.take((EVENTS, 0))  # nothing: the dataflow has a pass for those
    assert not rests_s
    clock.now_ms += took_ms
    reader.take((EVENTS, 0))
    assert rests_s == [rests_ms / 1000]


def test_no_event_waits_longer_for_others_than_it_is_to() -> None:
    rests_s: list[float] = []
    clock = SetClock()
    reader = Reader(Given(1), Blame(), clock, rests_s.append, linger_ms=20)
    reader.add((EVENTS, 0), 0)
    clock.now_ms = 500
    for _ in range(3):
        reader.take((EVENTS, 0))
    assert rests_s == [0.02]


def test_while_the_dataflow_is_busy_on_its_own_passes_are_as_far_apart_and_it_never_rests_for_long() -> None:
    clock, rests_s = SetClock(), list[float]()

    def rest(seconds: float) -> None:
        rests_s.append(seconds)
        clock.now_ms += max(1, round(1000 * seconds))

    bus, busy = Given(20, 5, 0), [True]
    reader = Reader(bus, Blame(), clock, rest, linger_ms=50, busy=lambda: busy[0])
    reader.add((EVENTS, 0), 0)
    clock.now_ms = 100
    assert len(reader.take((EVENTS, 0))) == 20
    came = [len(reader.take((EVENTS, 0))) for _ in range(60)]
    assert sum(came) == 5 and came.index(5) > 40, "events wait for others all the same"
    assert max(rests_s) <= 0.001 and max(bus.waited_s) <= 0.001, "and what the dataflow does on its own hardly waits"
    busy[0] = False
    reader.take((EVENTS, 0))
    assert bus.waited_s[-1] > 0.001


def test_a_state_of_another_kafka_is_told(world: World) -> None:
    world.send(stream(10))
    parts = Parts(world, {"events/1": 12_345})
    with pytest.raises(InputError, match=r"offset 12345 of events\[1\].*another Kafka.*--state"):
        parts.read()
    with pytest.raises(InputError, match="events/77"):
        reader = Reader(world.bus, Blame(), SystemClock(), time.sleep)
        KafkaInput(reader, [(EVENTS, 0)], lambda: True, lambda: False).build_part("kafka", "events/77", 1)


def test_events_that_the_embedded_broker_dropped_before_the_start_are_told(world: World) -> None:
    for _ in range(30):
        world.send_raw(os.urandom(900_000))  # past the 5 MB per partition that it keeps, and no compressing it
    parts = Parts(world)
    with pytest.raises(InputError, match=r"offset 0 of events\["):
        parts.read()
