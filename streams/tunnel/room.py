"""Room for candidate batches on the embedded Kafka, which keeps about 5 MB per partition and drops the oldest.

A dataflow at full speed makes batches faster than the tunnel can carry them off, and a batch that is dropped before
the tunnel has read it is lost. So the dataflow takes no events while the tunnel is behind. A real Kafka keeps them.
"""

import time

from monitor.waiting import Waiting
from streams.kafka.connection import KafkaSettings, is_embedded
from streams.kafka.lag import GroupPositions
from streams.kafka.topics import CANDIDATES, TUNNEL_GROUP
from wire.errors import ConnectionFailed

# 5 MB hold about 100 batches of 51 kB. What the dataflow has taken already may still make 60 or so; ours.
MOST_BEHIND = 15
_LOOK_EVERY_S = 0.1  # a look costs about 5 ms


class TunnelRoom:
    """Says whether the tunnel has room; always, where no tunnel has ever begun or Kafka is a real one.

    For a tunnel that is gone it waits without end: what it has not read would be lost. Every 30 s that is said.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._group = GroupPositions(settings, TUNNEL_GROUP) if is_embedded(settings.bootstrap) else None
        self._room = True
        self._waiting = Waiting()
        self._looked_s = float("-inf")

    def __call__(self) -> bool:
        """Whether the dataflow may take more events; at most `_LOOK_EVERY_S` old."""
        if self._group is not None and time.monotonic() - self._looked_s >= _LOOK_EVERY_S:
            self._look(self._group)
            self._looked_s = time.monotonic()
        return self._room

    def close(self) -> None:
        """Let the connection go."""
        if self._group is not None:
            self._group.close()

    def _look(self, group: GroupPositions) -> None:
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
