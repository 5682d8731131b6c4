"""The words for what happens to processes, and to what they are fed."""

from typing import Literal

import msgspec

from streams.times import Duration

Process = Literal["flow", "tunnel", "fleet", "train-cloud", "mqtt", "kafka-1", "kafka-2", "kafka-3"]


class ProcessFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    """One fault of one `process`; `mqtt` is the broker, `kafka-1` to `kafka-3` the nodes of Apache Kafka."""

    process: Process


class Kill(ProcessFault, frozen=True, tag="kill"):
    """`kill -9`, so many `times`, `every` so often; it is started again when the fault is over."""

    times: int = 1
    every: Duration = Duration(5)

    def __post_init__(self) -> None:
        if self.times < 1:
            raise ValueError("times is less than 1: leave it out for once")


class Restart(ProcessFault, frozen=True, tag="restart"):
    """Told to end in good order (SIGTERM), and started again when over; the embedded broker is just cut off."""


class Pause(ProcessFault, frozen=True, tag="pause"):
    """SIGSTOP: it holds its connections and does nothing, until SIGCONT when the fault is over."""


class Poison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="poison", kw_only=True):
    """So many messages that are no events, of every kind we know, into the topic `events`."""

    messages: int = 100


class DiskFull(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="disk_full"):
    """The flow's pool is on a small disk, and that is full: the flow ends, and is started again once there is room."""


AnyProcessFault = Kill | Restart | Pause | Poison | DiskFull
