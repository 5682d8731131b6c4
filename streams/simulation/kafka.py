"""A simulated Kafka: topics, offsets with gaps, groups that rebalance; `streams.simulation.bus` is the way to it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from streams.bus import Message, Positions
from streams.simulation.dice import Die
from streams.simulation.journal import Journal
from streams.simulation.timeline import Timeline
from wire.errors import ConnectionFailed

SESSION_MS = 10_000  # a member of a group that does not poll for so long is put out of it
AWAY = "the simulated Kafka is away"


@dataclass
class Weather:
    """How Kafka is today: chances and mean delays, ms."""

    delay_ms: float = 5
    gap_share: float = 0.0  # offsets that a marker of a transaction takes


@dataclass
class Log:
    """One partition."""

    messages: list[Message] = field(default_factory=list)
    first: int = 0
    end: int = 0

    def after(self, offset: int) -> list[Message]:
        """Messages from an offset on: looked for from the end, as readers are near it."""
        first = len(self.messages)
        while first and self.messages[first - 1].offset >= offset:
            first -= 1
        return self.messages[first:]

    def drop(self, before: int) -> None:
        """Retention: what is older than this offset is gone."""
        self.messages, self.first = self.after(before), before


@dataclass(eq=False)
class Member:
    """Of a group: when it polled last, and the generation of the group that it has joined."""

    polled_ms: int
    generation: int = -1


@dataclass
class Group:
    """Who reads together, and how far they are; who comes or goes begins another generation."""

    committed: Positions = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)
    generation: int = 0

    @property
    def settled(self) -> bool:
        """Whether everybody has joined the newest generation, so that each may have its share."""
        return all(member.generation == self.generation for member in self.members)

    def enter(self, member: Member) -> None:
        """One more reads."""
        self.members.append(member)
        self.generation += 1

    def leave(self, member: Member) -> None:
        """One reads no more, if it still did."""
        if member in self.members:
            self.members.remove(member)
            self.generation += 1

    def polled(self, member: Member, now_ms: int) -> None:
        """The member lives, and enters again if it was put out; who has not polled for long is put out."""
        for gone in [each for each in self.members if now_ms - each.polled_ms > SESSION_MS]:
            self.leave(gone)
        if member not in self.members:
            self.enter(member)
        member.polled_ms = now_ms


class SimulatedKafka:
    """One cluster, which is `up` or not; processes reach it by a `SimulatedBus` of their own."""

    def __init__(
        self, timeline: Timeline, die: Die, journal: Journal, *, partitions: int = 2, weather: Weather | None = None
    ) -> None:
        self.timeline, self.die, self.journal = timeline, die, journal
        self.partitions, self.weather = partitions, weather or Weather()
        self.up = True
        self.topics: dict[str, list[Log]] = {}
        self.groups: dict[str, Group] = {}
        self.taps: list[Callable[[Message], object]] = []  # are told of every message that is there

    def create(self, topics: Iterable[str]) -> None:
        """Make topics that are not there."""
        for topic in topics:
            self.topics.setdefault(topic, [Log() for _ in range(self.partitions)])

    def append(self, message: Message) -> None:
        """A message is there for good, at the next offset."""
        log = self.topics[message.topic][message.partition]
        if self.die.chance(self.weather.gap_share):
            log.end += 1
        message = message._replace(offset=log.end)
        log.messages.append(message)
        log.end += 1
        self.journal.message(self.timeline.now_ms, "kafka", f"{message.topic}[{message.partition}]", message.value)
        for tap in self.taps:
            tap(message)

    def all(self, topic: str) -> list[Message]:
        """Every message of a topic, partition by partition."""
        return [message for log in self.topics.get(topic, []) for message in log.messages]

    def group(self, name: str) -> Group:
        """The group, made when it is asked for."""
        return self.groups.setdefault(name, Group())

    def lag(self, group: str, topic: str) -> dict[int, int]:
        """Messages that a group has not committed, per partition."""
        committed = self.group(group).committed
        return {n: len(log.after(committed.get((topic, n), 0))) for n, log in enumerate(self.topics.get(topic, []))}

    def behind(self, group: str, topic: str) -> int:
        """`lag` of all partitions together."""
        return sum(self.lag(group, topic).values())

    def ask(self) -> None:
        """Raise `ConnectionFailed` while nobody answers."""
        if not self.up:
            raise ConnectionFailed(AWAY)
