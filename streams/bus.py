"""The bus: what the parts of this system need of Kafka, as protocols that the real one and a simulated one both keep.

`streams.kafka.bus.KafkaBus` is Apache Kafka or the embedded broker. `tests/streams/test_bus_contract.py` holds each
implementation to what is promised here:

* A topic is so many partitions, each in the order in which it was written. A key always goes to the same partition.
* Everything that a `Producer` has settled is there until it is dropped by age; what it has not may be there all the
  same. One producer's messages come in their order, each once as far as the producer lives.
* A `Consumer` gets every message from where it begins, in order, and never skips one that was dropped: that raises.
  It starts again from what was committed, so whatever was done after that is done again: at least once.
* Nothing waits longer than its `timeout_s`. An implementation with a virtual clock never waits at all: it answers with
  what is there. What takes no `timeout_s` is a question, answered soon or with `ConnectionFailed`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, Self

from streams.home import Home

Partition = tuple[str, int]  # topic and number
Positions = dict[Partition, int]  # the offset that comes next
Start = Literal["committed", "earliest", "latest"]
# How late a message may be read on a bus that can't wake its readers (the embedded one): as soon as can be, for what
# devices wait for; for the rest, which is looked at once in a while.
SOON_MS, BY_THE_WAY_MS = 10, 250


class Message(NamedTuple):
    """One message; `timestamp_ms` is when it was produced (wall clock); key and value are b"" where absent."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    timestamp_ms: int
    headers: Mapping[str, bytes]


class Span(NamedTuple):
    """Where somebody stands in a partition, as the offset that comes next, and where it ended when asked after that."""

    position: int
    end: int

    @property
    def left(self) -> int:
        """Messages that lie between."""
        return max(0, self.end - self.position)


class Consumer(Protocol):
    """Reads its partitions in batches; belongs to one thread. Nothing is committed on its own."""

    def poll(self, max_messages: int = 1000, timeout_s: float = 0.1) -> list[Message]:
        """Up to `max_messages`, at once when any are there, else after at most `timeout_s`.

        A rebalance happens in here: `on_assign` and `on_revoke` are called, and partitions are gone when the latter
        returns. Raises `DeliveryError` when offsets are missing: what was not read yet was dropped.
        """

    def positions(self) -> Positions:
        """The offset that comes next, per partition; negative before anything is known."""

    def position(self, partition: Partition) -> int:
        """`positions` of one partition."""

    def at_end(self, partition: Partition) -> bool:
        """Whether all that the partition had has been read: once it has, for as long as the partition is read."""

    def commit(self, positions: Positions | None = None) -> bool:
        """Commit these offsets (default: `positions()`); False when a rebalance came first and nothing was committed.

        Raises `DeliveryError` when that is refused, or nobody answers.
        """

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Get nothing from these partitions until `resume`, and stay in the group meanwhile."""

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Get messages from these partitions again."""

    def close(self) -> None:
        """Leave the group; commits nothing, and calls no hook."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class Producer(Protocol):
    """Knows what became of every message it was given: raises `DeliveryError` from the next call once one failed."""

    def __len__(self) -> int:
        """How many messages are not settled yet."""

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
        """Queue one message; waits while the queue is full. `timestamp_ms` defaults to now."""

    def send_many(self, topic: str, keys: Iterable[bytes | str], values: Iterable[bytes]) -> None:
        """Queue many messages of one topic, in order; waits while the queue is full."""

    def poll(self) -> None:
        """Hear what became of messages."""

    def settled(self, timeout_s: float = 0.0) -> bool:
        """Whether everything that was sent is there for good, waiting for that up to `timeout_s`."""

    def flush(self, timeout_s: float = float("inf")) -> None:
        """Wait until everything that was sent is there; raises `DeliveryError` when that takes longer."""


class Group(Protocol):
    """What one group has committed, seen from outside the group."""

    def lag(self, topic: str) -> dict[int, int]:
        """Messages of `topic` that the group has not committed, per partition; all that is kept if it never has."""

    def spans(self, topic: str) -> dict[int, Span]:
        """What of `topic` the group has not committed, per partition: from the first that is kept if it never has."""

    def begun(self, topic: str) -> bool:
        """Whether the group has ever committed a position in `topic`."""

    def mirror(self, positions: Mapping[Partition, int]) -> None:
        """Commit positions for readers that keep theirs elsewhere, without waiting; a failure is logged."""

    def close(self) -> None:
        """Let it go."""


def never() -> bool:
    """Nobody is told to stop."""
    return False


class Bus(Protocol):
    """Where messages are; makes consumers and producers. Every call may raise `ConnectionFailed`."""

    @property
    def name(self) -> str:
        """How a message to the user calls it: `Kafka at 127.0.0.1:9092`."""

    @property
    def forgetful(self) -> bool:
        """Whether it keeps only about 5 MB per partition, drops the oldest beyond that, and outlives no restart.

        Who reads there must keep up, and whoever begins without a position begins at offset 0, to hear what it missed.
        """

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
    ) -> Consumer:
        """A consumer of all `topics`, as a member of `group` or over the partitions in `assign`.

        `start` says where a partition without an offset in `assign` begins: where the group stopped (the beginning if
        it never committed), at the beginning, or at the end. Without `assign` the group shares the partitions out:
        `on_assign` gets the first offsets of those that come (negative: the beginning or end), `on_revoke` those about
        to go: commit there what is done. With `assign`, partitions that `topics` get later are read, too.
        A bus that can't wake its readers is asked anew every `within_ms`: whoever can wait saves it work.
        """

    def producer(self, *, linger_ms: float = 5, give_up_s: float = 0, stopping: Callable[[], bool] = never) -> Producer:
        """A producer that gives up on a message after `give_up_s`, or never (0).

        Once `stopping()`, waits for somebody who is away end within ten seconds.
        """

    def group(self, name: str) -> Group:
        """The group's positions, from outside."""

    def bounds(self, topic: str, *, uncommitted: bool = False) -> dict[Partition, tuple[int, int]]:
        """Per partition the first offset that is kept and the end; empty for no topic.

        The end is how far a consumer gets: what is in a transaction that is not finished lies beyond it, unless asked
        for as `uncommitted`.
        """

    def offsets_at(self, topic: str, moment_ms: int) -> Positions:
        """Per partition the offset of the first message produced at `moment_ms` (wall clock) or later; else the end.

        Raises `ConnectionFailed` on a forgetful bus, which can't look up times.
        """

    def read(self, group: str, between: Mapping[Partition, tuple[int, int]]) -> Iterator[Message]:
        """The messages of each partition from its first offset up to, not including, its second.

        `group` names the reader; nothing is committed. What is away is waited for.
        """

    def home(self, topics: Sequence[str]) -> Home:
        """Which cluster this is, and which topics by these names, since a name may be given twice."""
