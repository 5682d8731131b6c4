"""A process's way to the simulated Kafka: messages that are on their way, consumers that never wait, positions."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Self

from xxhash import xxh32_intdigest

from streams.bus import SOON_MS, Message, Partition, Positions, Span, Start, never
from streams.home import Home
from streams.simulation.engine import NotYet
from streams.simulation.kafka import AWAY, Member, SimulatedKafka
from streams.simulation.timeline import VirtualClock
from wire.errors import ConnectionFailed, DeliveryError

RETRY_MS = 500


class SimulatedBus:
    """A process's way to Kafka, by its own clock; when the process is killed, so is all that it made."""

    name = "the simulated Kafka"
    forgetful = False

    def __init__(self, kafka: SimulatedKafka, clock: VirtualClock) -> None:
        self.kafka, self.clock = kafka, clock
        self.dead = False

    def kill(self) -> None:
        """The process is gone: what it had sent may arrive or not, and its groups notice after a while."""
        self.dead = True

    def consumer(
        self,
        group: str,
        topics: Sequence[str] = (),
        start: Start = "committed",
        *,
        assign: Mapping[Partition, int | None] | None = None,
        on_assign: Callable[[Positions], None] | None = None,
        on_revoke: Callable[[list[Partition]], None] | None = None,
        within_ms: int = SOON_MS,
    ) -> "SimulatedConsumer":
        """A consumer as `streams.bus.Bus` says."""
        del within_ms  # it is asked whenever somebody polls
        self.kafka.ask()
        if gone := [topic for topic in topics if topic not in self.kafka.topics]:
            raise ConnectionFailed(f"{self.name} has no topic {gone[0]}")
        return SimulatedConsumer(
            bus=self, group=group, topics=topics, start=start, assign=assign, hooks=(on_assign, on_revoke)
        )

    def producer(
        self, *, linger_ms: float = 5, give_up_s: float = 0, stopping: Callable[[], bool] = never
    ) -> "SimulatedProducer":
        """A producer as `streams.bus.Bus` says."""
        del linger_ms, stopping  # nothing is lingered for, and nobody waits
        return SimulatedProducer(self, round(give_up_s * 1000))

    def group(self, name: str) -> "SimulatedGroup":
        """The group's positions, from outside."""
        return SimulatedGroup(self.kafka, name)

    def bounds(self, topic: str, *, uncommitted: bool = False) -> dict[Partition, tuple[int, int]]:
        """Per partition the first offset that is kept and the end."""
        del uncommitted  # there are no transactions, only the gaps that they leave
        self.kafka.ask()
        return {(topic, n): (log.first, log.end) for n, log in enumerate(self.kafka.topics.get(topic, []))}

    def offsets_at(self, topic: str, moment_ms: int) -> Positions:
        """Per partition the offset of the first message produced then or later; else the end."""
        self.kafka.ask()
        return {
            (topic, n): next((m.offset for m in log.messages if m.timestamp_ms >= moment_ms), log.end)
            for n, log in enumerate(self.kafka.topics.get(topic, []))
        }

    def read(self, group: str, between: Mapping[Partition, tuple[int, int]]) -> Iterator[Message]:
        """The messages between these offsets."""
        del group
        self.kafka.ask()
        for (topic, number), (first, end) in between.items():
            yield from (m for m in self.kafka.topics[topic][number].after(first) if m.offset < end)

    def home(self, topics: Sequence[str]) -> Home:
        """Always the same cluster."""
        return Home("simulated", {topic: topic for topic in topics})


class SimulatedProducer:
    """Messages arrive in order, one delay later each time; those that were under way when Kafka went away wait."""

    def __init__(self, bus: SimulatedBus, give_up_ms: int) -> None:
        self._bus, self._kafka, self._give_up_ms = bus, bus.kafka, give_up_ms
        self._queue: deque[Message] = deque()
        self._unsettled = 0
        self._since_ms = 0  # when the oldest one that is not settled was sent
        self._pumping = False

    def __len__(self) -> int:
        return self._unsettled

    def send(
        self,
        topic: str,
        key: bytes | str | None,
        value: bytes,
        *,
        timestamp_ms: int | None = None,
        headers: Mapping[str, bytes] | None = None,
        partition: int | None = None,
    ) -> None:
        """Queue one message."""
        self._check()
        name = key.encode() if isinstance(key, str) else key or b""
        place = xxh32_intdigest(name) % self._kafka.partitions if partition is None else partition
        made_ms = self._bus.clock.wall_ms() if timestamp_ms is None else timestamp_ms
        if not self._unsettled:
            self._since_ms = self._kafka.timeline.now_ms
        self._queue.append(Message(topic, place, -1, name, value, made_ms, headers or {}))
        self._unsettled += 1
        if not self._pumping:
            self._pump_later()

    def send_many(self, topic: str, keys: Iterable[bytes | str], values: Iterable[bytes]) -> None:
        """Queue many messages of one topic, in order."""
        for key, value in zip(keys, values, strict=True):
            self.send(topic, key, value)

    def poll(self) -> None:
        """Hear what became of messages."""
        self._check()

    def settled(self, timeout_s: float = 0.0) -> bool:
        """Whether everything that was sent is there for good."""
        del timeout_s
        self._check()
        return not self._unsettled

    def flush(self, timeout_s: float = float("inf")) -> None:
        """Raise `NotYet` where a live one would wait, `DeliveryError` where it would give up."""
        if self.settled():
            return
        if timeout_s == float("inf"):
            raise NotYet
        raise DeliveryError(f"{AWAY}: it has not taken {self._unsettled} messages")

    def _check(self) -> None:
        waited_ms = self._kafka.timeline.now_ms - self._since_ms
        if self._give_up_ms and self._unsettled and waited_ms > self._give_up_ms:
            self._queue.clear()
            raise DeliveryError(f"{AWAY}: it did not take {self._unsettled} messages")

    def _pump_later(self) -> None:
        self._pumping = True
        self._kafka.timeline.after(self._kafka.die.about(self._kafka.weather.delay_ms), self._pump)

    def _pump(self) -> None:
        self._pumping = False
        if self._bus.dead and self._kafka.die.chance(0.5):
            self._queue.clear()
        if not self._kafka.up:
            if self._queue and not self._bus.dead:
                self._pumping = True
                self._kafka.timeline.after(RETRY_MS, self._pump)
            return
        arrived = len(self._queue)
        while self._queue:
            self._kafka.append(self._queue.popleft())
        self._kafka.timeline.after(self._kafka.die.about(self._kafka.weather.delay_ms), lambda: self._settle(arrived))

    def _settle(self, number: int) -> None:
        self._unsettled -= number
        self._since_ms = self._kafka.timeline.now_ms


class SimulatedConsumer:
    """Reads what is there; never waits."""

    def __init__(  # noqa: PLR0917 - made by a bus, in one place
        self,
        bus: SimulatedBus,
        group: str,
        topics: Sequence[str],
        start: Start,
        assign: Mapping[Partition, int | None] | None,
        hooks: tuple[Callable[[Positions], None] | None, Callable[[list[Partition]], None] | None],
    ) -> None:
        self._bus, self._kafka, self._topics, self._start = bus, bus.kafka, topics, start
        self._group, self._hooks = bus.kafka.group(group), hooks
        self._subscribed = assign is None
        self._member, self._has_share = Member(bus.kafka.timeline.now_ms), False
        self._positions: Positions = {}
        self._paused: set[Partition] = set()
        self._ended: set[Partition] = set()
        if assign is None:
            self._group.enter(self._member)
        else:
            self._begin(assign)

    def poll(self, max_messages: int = 1000, timeout_s: float = 0.1) -> list[Message]:
        """Up to `max_messages` of what is there."""
        del timeout_s
        if not self._kafka.up:
            return []
        if self._subscribed:
            self._join()
        found: list[Message] = []
        for partition, offset in self._positions.items():
            topic, number = partition
            log = self._kafka.topics[topic][number]
            if partition in self._paused or len(found) == max_messages:
                continue
            if 0 <= offset < log.first:
                raise DeliveryError(f"{topic}[{number}] no longer has offset {offset}")
            some = log.after(max(offset, log.first))[: max_messages - len(found)]
            found += some
            caught_up = not some or some[-1] is log.messages[-1]
            self._positions[partition] = log.end if caught_up else some[-1].offset + 1
            if caught_up:
                self._ended.add(partition)
        return found

    def positions(self) -> Positions:
        """The offset that comes next, per partition."""
        return dict(self._positions)

    def position(self, partition: Partition) -> int:
        """`positions` of one partition."""
        return self._positions[partition]

    def at_end(self, partition: Partition) -> bool:
        """Whether all that the partition had has been read."""
        return partition in self._ended

    def commit(self, positions: Positions | None = None) -> bool:
        """Commit; False for one that the group has put out."""
        if not self._kafka.up:
            raise DeliveryError(AWAY)
        group, member = self._group, self._member
        if self._subscribed and (member not in group.members or member.generation != group.generation):
            return False
        wanted = self._positions if positions is None else positions
        group.committed |= {partition: offset for partition, offset in wanted.items() if offset >= 0}
        return True

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Get nothing from these."""
        self._paused |= set(partitions)

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Get messages from these again."""
        self._paused -= set(partitions)

    def close(self) -> None:
        """Leave the group."""
        self._group.leave(self._member)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _join(self) -> None:
        """Take part in a rebalance: everybody lets go first, then each gets its share."""
        self._group.polled(self._member, self._kafka.timeline.now_ms)
        if self._member.generation != self._group.generation:
            self._let_go()
            self._member.generation = self._group.generation
        if not self._has_share and self._group.settled:
            self._has_share = True
            self._begin(dict.fromkeys(self._mine()))
            if self._hooks[0] is not None:
                self._hooks[0](self.positions())

    def _let_go(self) -> None:
        if self._positions and self._hooks[1] is not None:
            if self._group.generation == self._member.generation + 1:
                self._member.generation += 1  # its own rebalance: what is done may still be committed
            self._hooks[1](list(self._positions))
        self._positions, self._paused, self._ended, self._has_share = {}, set(), set(), False

    def _mine(self) -> list[Partition]:
        everything = [(topic, n) for topic in self._topics for n in range(len(self._kafka.topics[topic]))]
        return everything[self._group.members.index(self._member) :: len(self._group.members)]

    def _begin(self, assign: Mapping[Partition, int | None]) -> None:
        for partition, offset in assign.items():
            self._positions[partition] = self._first(partition) if offset is None else offset

    def _first(self, partition: Partition) -> int:
        if self._start == "committed":
            return self._group.committed.get(partition, -2)
        return -2 if self._start == "earliest" else self._kafka.topics[partition[0]][partition[1]].end


class SimulatedGroup:
    """A group's positions, from outside."""

    def __init__(self, kafka: SimulatedKafka, name: str) -> None:
        self._kafka, self._name = kafka, name

    def lag(self, topic: str) -> dict[int, int]:
        """Messages that the group has not committed."""
        self._kafka.ask()
        return self._kafka.lag(self._name, topic)

    def spans(self, topic: str) -> dict[int, Span]:
        """Where it stands, and where partitions end."""
        self._kafka.ask()
        committed = self._kafka.group(self._name).committed
        logs = enumerate(self._kafka.topics.get(topic, []))
        return {n: Span(max(committed.get((topic, n), 0), log.first), log.end) for n, log in logs}

    def begun(self, topic: str) -> bool:
        """Whether it has ever committed in `topic`."""
        self._kafka.ask()
        return any(partition[0] == topic for partition in self._kafka.group(self._name).committed)

    def mirror(self, positions: Mapping[Partition, int]) -> None:
        """Commit positions; while Kafka is away they are lost, and the next ones are newer."""
        if self._kafka.up:
            self._kafka.group(self._name).committed |= positions

    def close(self) -> None:
        """Nothing is held."""
