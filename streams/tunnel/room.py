"""Room for candidate batches on a forgetful bus, which keeps about 5 MB per partition and drops the oldest.

A dataflow at full speed makes batches faster than the tunnel can carry them off, and a batch that is dropped before
the tunnel has read it is lost. So the dataflow takes no events while the tunnel is behind. A real Kafka keeps them.
"""

import threading
from typing import Self

from monitor.waiting import Waiting
from streams.bus import Bus
from streams.kafka.topics import CANDIDATES, TUNNEL_GROUP
from wire.clock import Clock
from wire.errors import ConnectionFailed

# 5 MB hold about 250 batches of 20 kB, 100 of 50 kB. What the dataflow has taken already may still make 60 or so. And a
# tunnel that keeps up has not said yet, for .3 s, that it has 45 a second for each partition.
MOST_BEHIND = 40
_EVERY_S = 0.1
_JOIN_S = 3.0  # a look at a Kafka that is away takes up to 15 s


class TunnelRoom:
    """Says whether the tunnel has room; always, where no tunnel has ever begun or the bus forgets nothing.

    A thread looks while the context is open, since Kafka's answers take longer than a pass of the dataflow: ten times a
    second from when a batch was `sent` until the tunnel has all of them. For a tunnel that
    is gone it waits without end: what it has not read would be lost. Every 30 s that is said.
    """

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._group = bus.group(TUNNEL_GROUP) if bus.forgetful else None
        self._there = self._caught_up = True
        self._news = threading.Event()
        self._waiting = Waiting(clock.steady_ms)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="room", daemon=True)

    def __call__(self) -> bool:
        """Whether the dataflow may take more events, as of the last look."""
        return self._there

    def sent(self, topic: str) -> None:
        """Something went to `topic`, by another thread."""
        if topic == CANDIDATES:
            self._news.set()

    def look(self) -> None:
        """See how far the tunnel is; what was so a moment ago is as good a guess as any while Kafka does not say."""
        if self._group is None:
            return
        self._caught_up = False  # until it is said
        try:
            begun = self._group.begun(CANDIDATES)
            behind = max(self._group.lag(CANDIDATES).values(), default=0) if begun else 0
        except ConnectionFailed as error:
            self._waiting.go_on(str(error))
            return
        self._there, self._caught_up = behind <= MOST_BEHIND, begun and behind == 0
        if self._there:
            self._waiting.over()
        else:
            self._waiting.go_on(f"the tunnel, which is {behind} batches behind: is `coda tunnel` running?")

    def __enter__(self) -> Self:
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._news.set()
        self._thread.join(_JOIN_S)
        if self._group is not None and not self._thread.is_alive():  # else what waits goes with the process
            self._group.close()

    def _run(self) -> None:
        while self._group is not None and not self._stop.wait(_EVERY_S):
            if self._caught_up:
                self._news.wait()
                self._news.clear()
            try:
                self.look()
            except Exception as error:  # without a word the dataflow would wait, or run over, for ever
                self._waiting.go_on(f"the tunnel's position: {type(error).__name__}: {error}")
