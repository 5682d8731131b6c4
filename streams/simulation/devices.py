"""The fleet of a simulation: the devices' own code, driven in rounds as `streams.fleet` drives it live."""

from collections.abc import Callable
from pathlib import Path

from device_sim.fleet import Fleet
from device_sim.state import FleetState, Resumed
from device_sim.stimulus import OwnEvent
from device_sim.training import Attempt, TrainingJob
from models.artefact import model_from_bytes
from streams.bus import Message, Partition
from streams.simulation.dice import Die
from streams.simulation.kafka import SimulatedBus
from streams.simulation.link import SimulatedLink
from streams.simulation.timeline import VirtualClock
from streams.simulation.trainer import PUBLIC
from wire.errors import ArtefactError, DeliveryError
from wire.event import decode_event
from wire.malformed import Malformed
from wire.signing import open_model, open_task

Told = Callable[[TrainingJob], None]
TICK_MS, SNAPSHOT_MS = 1_000, 2_000
GROUP = "coda-fleet"


class Devices:
    """One run of the fleet, from what lies in `folder` on; `own` is the topic of what users do."""

    def __init__(
        self,
        bus: SimulatedBus,
        link: SimulatedLink,
        clock: VirtualClock,
        folder: Path,
        die: Die,
        *,
        own: str,
        uploads: bool,
        begun: Told,
    ) -> None:
        self._bus, self.link, self._clock, self._die, self._own = bus, link, clock, die, own
        self._told = begun
        self.handled: dict[str, str] = {}  # events that this run took, or found in an outbox, and whose they are
        self._state = FleetState(folder)
        state = self._state.resume(uploads=uploads, seed=1, now_ms=clock.wall_ms())
        if state is None:
            state = Resumed(Fleet(uploads=uploads, seed=1, boot=clock.wall_ms()), {}, {})
        self.fleet = state.fleet
        self._state.note(self.fleet, state.positions, {})
        self._state.write()
        self.saved: dict[Partition, int] = {(t, p): o for t, ps in state.positions.items() for p, o in ps.items()}
        begin = {**dict.fromkeys(bus.bounds(own)), **self.saved}
        self._consumer = bus.consumer(GROUP, [own], "earliest", assign=begin)
        self._attempts: list[Attempt] = []
        self._done_ms = 0
        self._ticked_ms = self._noted_ms = clock.steady_ms()
        for user_id, device in self.fleet.devices.items():
            self.handled |= dict.fromkeys(device.outbox.state(), user_id)
            link.open(user_id)

    @property
    def busy(self) -> bool:
        """Whether a training runs or waits."""
        return bool(self._attempts or self.fleet.due)

    def step(self) -> None:
        """One round."""
        self._take_arrivals()
        if self.fleet.model is None or self.fleet.task is None:
            return
        events = self._events(self._consumer.poll(100, 0))
        if events:
            self.fleet.handle_events(events, self._clock.wall_ms())
            self.handled |= {each.event.event_id: each.event.user_id for each in events}
        self._train()
        self._chores()
        for user_id, publish in self.fleet.take_outgoing():
            self.link.publish(user_id, publish.leaf, publish.payload)
        for user_id in self.fleet.take_gone():
            self.link.leave(user_id)
        self.fleet.take_predictions()

    def kill(self) -> None:
        """The process is gone, and with it what no snapshot has."""
        self._bus.kill()
        self.link.kill()

    def snapshot(self) -> None:
        """The fleet and its positions, as of one moment; then Kafka is told."""
        positions = self._consumer.positions()
        by_topic = {self._own: {number: offset for (_, number), offset in positions.items() if offset >= 0}}
        self._state.note(self.fleet, by_topic, {})
        self._state.write()
        self.saved = positions
        try:
            self._consumer.commit(positions)
        except DeliveryError:
            return  # the snapshot is what counts

    def _chores(self) -> None:
        now_ms = self._clock.steady_ms()
        if now_ms - self._ticked_ms >= TICK_MS:
            self._ticked_ms = now_ms
            self.fleet.tick(self._clock.wall_ms())
        if now_ms - self._noted_ms >= SNAPSHOT_MS:
            self._noted_ms = now_ms
            self.snapshot()

    def _train(self) -> None:
        """A training's results come when it is over, and much may happen until then."""
        now_ms = self._clock.steady_ms()
        if self._attempts and now_ms >= self._done_ms:
            attempts, self._attempts = self._attempts, []
            self.fleet.finish_training(attempts, self._clock.wall_ms())
        if not self._attempts and (job := self.fleet.begin_training(self._clock.wall_ms())) is not None:
            self._told(job)
            self._attempts = job.attempt(lambda: 0.0)
            self._done_ms = now_ms + self._die.about(500)

    def _take_arrivals(self) -> None:
        fleet, now_ms = self.fleet, self._clock.wall_ms()
        for arrival in self.link.take():
            match arrival.kind:
                case "up":
                    fleet.connected(arrival.user_id, now_ms)
                case "down":
                    fleet.link_lost(arrival.user_id, now_ms)
                case "candidates":
                    fleet.deliver_batch(arrival.user_id, arrival.payload, now_ms)
                case "receipts":
                    fleet.deliver_receipt(arrival.user_id, arrival.payload, now_ms)
                case _:
                    self._take_artefact(arrival.kind, arrival.payload, now_ms)

    def _take_artefact(self, kind: str, payload: bytes, now_ms: int) -> None:
        try:
            if kind == "model":
                self.fleet.deliver_model(model_from_bytes(open_model(payload, PUBLIC)), len(payload), now_ms)
            else:
                self.fleet.deliver_task(open_task(payload, PUBLIC), len(payload), now_ms)
        except ArtefactError:
            return

    def _events(self, messages: list[Message]) -> list[OwnEvent]:
        events = []
        for message in messages:
            try:
                event = decode_event(message.value)
            except Malformed:
                continue
            if event.user_id not in self.fleet.quarantine:
                if event.user_id not in self.fleet.devices:
                    self.fleet.device(event.user_id)
                    self.link.open(event.user_id)
                events.append(OwnEvent(event, message.timestamp_ms))
        return events
