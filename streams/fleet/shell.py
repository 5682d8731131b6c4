"""A fleet, live: one asyncio loop that steps it, and threads for its hands.

Kafka is polled in a thread, and a training runs in another: torch lets go of the interpreter while it computes.
"""

import asyncio
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import torch

from device_sim.link import Link
from device_sim.quarantine import FleetFailed
from monitor.metrics import Metrics
from streams.bus import Bus, never
from streams.fleet.errand import Chore
from streams.fleet.hands import Hands
from streams.fleet.service import FleetService
from streams.fleet.settings import FleetSettings
from streams.fleet.tastes import EVERY_MS, Tastes
from streams.process.long_lived import LongLived
from wire.clock import Clock
from wire.errors import CodaError

# From one round to the next: a round costs its ms for one event as for thirty, so that 33 a second take .02 of a core
# less than 50. What comes over MQTT waits as long.
_ROUND_S = 0.03
_MANY = 256  # events in a round: then the next one begins at once
_WAIT_S = 0.2  # for the link, while there is nothing else to wait for
_LOOK_S = 0.005  # between steps of the end


T = TypeVar("T")


class PartitionsAdded(CodaError):
    """All processes of a fleet shall begin anew, for nothing that went wrong."""


class FleetShell:
    """Runs a `FleetService`; `link` must belong to the running loop.

    `grown` is asked whether the topic of own events has partitions that have to be shared out anew.
    """

    def __init__(
        self,
        settings: FleetSettings,
        bus: Bus,
        link: Link,
        clock: Clock,
        *,
        metrics: Metrics,
        grown: Callable[[], bool] = never,
    ) -> None:
        self._link, self._grown = link, grown
        # Each thread has to be told: a new one would multiply matrices with as many threads as there are cores.
        polling, training, aside = (ThreadPoolExecutor(1, name, one_thread) for name in ("kafka", "train", "aside"))
        self._hands = Hands(polling, training, aside, time.thread_time)
        self.service = FleetService(settings, bus, link, clock, hands=self._hands, metrics=metrics)
        tastes = Tastes(settings.state, self.service.fleet, self.service.names)
        self._tastes = Chore(clock, EVERY_MS, lambda: tastes.work(self._hands))
        self._long_lived = LongLived()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End after this round, in order."""
        self._stopping.set()

    async def run(self, conclude: Callable[[FleetService], T]) -> T:
        """Run until `stop`; returns what is to be concluded then. What the world does wrong ends it as well, in order.

        A mistake of ours ends it with its last snapshot: nobody knows what the fleet is worth after that. Raises
        `PartitionsAdded`, too.
        """
        failure: CodaError | None = None
        try:
            while not self._stopping.is_set():
                await self._round()
        except Exception as error:
            failure = error if isinstance(error, CodaError) else FleetFailed(_line_of(error))
        try:
            if not isinstance(failure, FleetFailed):
                while not (self.service.finish() and self._tastes.finish()):
                    await asyncio.sleep(_LOOK_S)
        finally:
            await self._leave()
        if isinstance(failure, FleetFailed):
            raise failure
        conclusion = conclude(self.service)
        if failure is not None:
            raise failure
        return conclusion

    async def _round(self) -> None:
        if self._grown():
            raise PartitionsAdded("the topic of own events has more partitions: its processes share them out anew")
        if self.service.reads:
            due_s = time.monotonic() + _ROUND_S
            messages = await self._by_poller(self.service.poll)
            self.service.step(messages)
            if len(messages) < _MANY:
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        else:
            await self._link.wait(_WAIT_S)
            self.service.step([])
        self._tastes.step()
        self._long_lived.look(len(self.service.fleet.devices))

    async def _leave(self) -> None:
        await self._by_poller(self.service.close)
        await self._link.close()
        for pool in (self._hands.polling, self._hands.training, self._hands.aside):
            pool.shutdown(wait=False)

    async def _by_poller(self, work: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._hands.polling, work)


def one_thread() -> None:
    """Let torch compute on one thread: trainings are many small steps, and another core has other work."""
    torch.set_num_threads(1)


def _line_of(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"the fleet failed, report it: {type(error).__name__}: {' '.join(str(error).split())} "
        f"({Path(place.filename).name}:{place.lineno}); started again, it goes on from its last snapshot"
    )
