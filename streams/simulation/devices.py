"""The fleet of a simulation: a `FleetService` as it runs live, stepped by a process, with hands in virtual time."""

from collections.abc import Callable
from pathlib import Path

from device_sim.fleet import Fleet
from device_sim.training import TrainingJob
from monitor.metrics import Metrics
from streams.fleet.hands import Hands
from streams.fleet.orders import Orders
from streams.fleet.service import FleetService
from streams.fleet.settings import FleetSettings, Own
from streams.simulation.bus import SimulatedBus
from streams.simulation.dice import Die
from streams.simulation.hands import ASIDE_MS, POLLING_MS, Hand, TrainingHand
from streams.simulation.link import SimulatedLink
from streams.simulation.timeline import Timeline, VirtualClock
from streams.simulation.trainer import PUBLIC
from wire.event import decode_event
from wire.malformed import Malformed


class Devices:
    """One run of the fleet, from what lies in `folder` on; `own` is the topic of what users do."""

    def __init__(
        self,
        bus: SimulatedBus,
        link: SimulatedLink,
        clock: VirtualClock,
        *,
        metrics: Metrics,
        timeline: Timeline,
        die: Die,
        folder: Path,
        own: Own,
        orders: Orders,
        begun: Callable[[TrainingJob], object],
    ) -> None:
        self._bus, self.link = bus, link
        self._hands = (
            Hand(timeline, die, POLLING_MS),
            TrainingHand(timeline, die, begun),
            Hand(timeline, die, ASIDE_MS),
        )
        key = folder / "cloud.pub"
        key.write_text(PUBLIC.public_bytes_raw().hex())
        settings = FleetSettings(own, None, folder / "state", folder / "records", key, seed=1, orders=orders)
        self.service = FleetService(settings, bus, link, clock, hands=Hands(*self._hands, lambda: 0.0), metrics=metrics)
        self.handled: dict[str, str] = {}  # events that this run took, or found in an outbox, and whose they are
        for user_id, device in self.fleet.devices.items():
            self.handled |= dict.fromkeys(device.outbox.state(), user_id)

    @property
    def fleet(self) -> Fleet:
        """Its devices."""
        return self.service.fleet

    @property
    def busy(self) -> bool:
        """Whether a training runs or waits."""
        return bool(self.fleet.due) or any(device.busy for device in self.fleet.devices.values())

    def step(self) -> None:
        """One round."""
        messages = self.service.poll()
        self.service.step(messages)
        for message in messages:
            try:
                event = decode_event(message.value)
            except Malformed:
                continue
            if event.user_id in self.fleet.devices:
                self.handled[event.event_id] = event.user_id

    def kill(self) -> None:
        """The process is gone, and with it what no snapshot has."""
        self._bus.kill()
        self.link.kill()
        for hand in self._hands:
            hand.kill()
