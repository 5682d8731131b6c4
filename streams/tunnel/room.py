"""Room for candidate batches on a forgetful bus, which keeps about 5 MB per partition and drops the oldest.

A dataflow at full speed makes batches faster than the tunnel can carry them off, and a batch that is dropped before
the tunnel has read it is lost. So the dataflow takes no events while the tunnel is behind. A real Kafka keeps them.
"""

from monitor.waiting import Waiting
from streams.bus import Bus, Group
from streams.kafka.topics import CANDIDATES, TUNNEL_GROUP
from wire.clock import Clock
from wire.errors import ConnectionFailed

# 5 MB hold about 100 batches of 51 kB. What the dataflow has taken already may still make 60 or so.
MOST_BEHIND = 15
_LOOK_EVERY_MS = 100  # a look costs about 5 ms


class TunnelRoom:
    """Says whether the tunnel has room; always, where no tunnel has ever begun or the bus forgets nothing.

    For a tunnel that is gone it waits without end: what it has not read would be lost. Every 30 s that is said.
    """

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._group = bus.group(TUNNEL_GROUP) if bus.forgetful else None
        self._clock = clock
        self._room = True
        self._waiting = Waiting(clock.steady_ms)
        self._look_at_ms = 0

    def __call__(self) -> bool:
        """Whether the dataflow may take more events; at most `_LOOK_EVERY_MS` old."""
        if self._group is not None and self._clock.steady_ms() >= self._look_at_ms:
            self._look(self._group)
            self._look_at_ms = self._clock.steady_ms() + _LOOK_EVERY_MS
        return self._room

    def close(self) -> None:
        """Let the connection go."""
        if self._group is not None:
            self._group.close()

    def _look(self, group: Group) -> None:
        try:
            behind = max(group.lag(CANDIDATES).values(), default=0) if group.begun(CANDIDATES) else 0
        except ConnectionFailed as error:
            self._waiting.go_on(str(error))
            return  # what was so a moment ago is as good a guess as any
        self._room = behind <= MOST_BEHIND
        if self._room:
            self._waiting.over()
        else:
            self._waiting.go_on(f"the tunnel, which is {behind} batches behind: is `coda tunnel` running?")
