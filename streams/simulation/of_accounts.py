"""Invariants of sums and sizes: reports add up, accounts close, nothing grows beyond its bound, every wait ends."""

from collections import Counter
from typing import Any

from operators.audience import MOST_WAITING
from operators.event_keys import MOST_SEEN
from operators.event_time import HELD_MOST
from operators.gather import PATIENCE_MS
from streams.kafka.topics import (
    CANDIDATES,
    EVENTS,
    FLEET_GROUP,
    FLOW_GROUP,
    REQUESTS,
    SAMPLES,
    TELEMETRY,
    TRAINER_GROUP,
    TUNNEL_GROUP,
)
from streams.simulation.bus import SimulatedBus
from streams.simulation.invariants import Invariant
from streams.simulation.timeline import VirtualClock
from streams.tunnel.accounting import account_for_pushes
from wire.telemetry import Training

QUEUED = 10_000  # messages before one step: far beyond what a simulation sends


class TelemetryAddsUp(Invariant):
    """What the cloud has summed up is what devices say of their lives, each once, and no more than their users did."""

    name = "telemetry-adds-up"

    def watch(self) -> None:
        """No device says that it predicted more than its user did."""
        acts = Counter(event.user_id for _, event in self.world.users.acts)
        work = self.world.devices
        for user, device in (work.fleet.devices if work else {}).items():
            self.hold(device.usage.events <= acts[user], f"{user} counts {device.usage.events} of {acts[user]} events")

    def end(self) -> None:
        """The fleet's records, the trainer's sums, and those of the newest report of every life."""
        work = self.world.devices
        assert work is not None, "all processes are there"
        predicted = sum(device.usage.events for device in work.fleet.devices.values())
        recorded = work.service.board.events
        self.hold(recorded == predicted, f"the fleet recorded {recorded} predictions, its devices made {predicted}")
        newest: dict[tuple[str, int], Training] = {}
        for report in self.world.seen.reports:
            life = report.user_id, report.boot
            if life not in newest or report.sequence > newest[life].sequence:
                newest[life] = report
        trainer = self.world.trainer.work
        self.hold(trainer is not None, "there is no trainer")
        assert trainer is not None, "it holds"
        found, wanted = trainer.service.reports.events, sum(report.events for report in newest.values())
        one_lineage = self.world.newest_model[0] == 1  # else a new trainer passes over what is of the one before
        self.hold(not one_lineage or found == wanted, f"the cloud counts {found} events, devices {wanted}")


class AccountsClose(Invariant):
    """Pushes = acknowledged + superseded + expired + those that are open; in the end none is open."""

    name = "accounts-close"

    def watch(self) -> None:
        """A tunnel's own ledger."""
        balanced = all(carrier.down.tally().balanced for carrier in self.world.carriers)
        self.hold(balanced, "a tunnel's ledger does not balance")

    def end(self) -> None:
        """All tunnels together, by what Kafka has."""
        world = self.world
        bus = SimulatedBus(world.kafka, VirtualClock(world.timeline))
        tally = account_for_pushes(bus, world.plan.expiry_ms, world.latest_ms)
        late = world.plan.expiry_ms <= world.timeline.now_ms - world.plan.safety_ms
        self.hold(not tally.outstanding or not late, f"{tally.outstanding} pushes are open")


class BoundedMemory(Invariant):
    """Every queue, table and state has a bound."""

    name = "bounded-memory"

    def watch(self) -> None:
        """Each by its own."""
        flow, work = self.world.dataflow, self.world.devices
        users = self.world.plan.devices
        if flow is not None:
            for pool in flow.live():
                self._most(f"pool {pool.store.path}", len(pool), self.world.plan.window_count)
            self._watch_logics()
        for carrier in self.world.carriers:
            self._most("open pushes", carrier.down.tally().outstanding, users)
        for user, device in (work.fleet.devices if work else {}).items():
            self._most(f"the outbox of {user}", device.outbox.nbytes, 1 << 20)
            self._most(f"the window of {user}", len(device.window), device.window.count)
        self._most("retained messages", len(self.world.broker.retained), 2 * users + 10)

    def _watch_logics(self) -> None:
        for clock in self.world.logics("decode"):
            self._most("events held", len(clock.times), HELD_MOST)
        for state in self.world.user_states():
            self._most("event keys of a user", len(state.seen), MOST_SEEN)
        for each in self.world.logics("audience"):
            for audience in each.items.waiting:
                self._most("samples that wait for others", len(audience.waiting), MOST_WAITING)
        for gather in self.world.logics("gather"):
            self._most("queries that wait", len(gather.state.waiting), QUEUED)

    def _most(self, what: str, found: int, bound: int) -> None:
        self.hold(found <= bound, f"{what}: {found}, at most {bound}")


class EveryWaitEnds(Invariant):
    """Once everything is healed, whatever waits comes to its end."""

    name = "every-wait-ends"

    def waiting(self) -> list[str]:
        """What still waits."""
        world = self.world
        down = [process.name for process in world.processes if process.work is None]
        if down:
            return [f"{name} is not there" for name in down]
        trainer = world.trainer.work
        assert world.devices and trainer, "all processes are there"
        link, devices = world.devices.link, world.devices.fleet.devices.values()
        known = {state.user_id for state in world.user_states() if state.watermark >= 0}
        found: dict[str, Any] = {
            "the dataflow is behind in events": world.kafka.behind(FLOW_GROUP, EVENTS),
            "the dataflow has something in hand": not (world.dataflow and world.dataflow.engine.idle),
            "the dataflow is behind in requests": world.kafka.behind(FLOW_GROUP, REQUESTS),
            "the tunnel is behind": world.kafka.behind(TUNNEL_GROUP, CANDIDATES),
            "the fleet is behind": world.kafka.behind(FLEET_GROUP, world.own),
            "the trainer is behind in reports": world.kafka.behind(TRAINER_GROUP, TELEMETRY),
            "the trainer is behind in samples": world.kafka.behind(TRAINER_GROUP, SAMPLES),
            "users wait for a match": sum(state.waits for state in world.user_states()),
            "events are held": sum(len(clock.times) for clock in world.logics("decode")),
            "queries wait for shards": sum(bool(gather.state.waiting) for gather in world.logics("gather")),
            "devices are not connected": sum(not client.connected for client in link.clients.values()),
            "connections are half open": sum(w.open and w.silent is not None for w in world.network.wires.values()),
            "publishes are not confirmed": sum(client.unconfirmed for client in link.clients.values()),
            "outboxes hold events": sum(len(device.outbox) for device in devices),
            "pushes are open": sum(carrier.down.tally().outstanding for carrier in world.carriers),
            "devices ask for a batch": sum(
                bool(d.asking.reason and d.eligible and d.user_id in known) for d in devices
            ),
            "devices train": world.devices.busy,
            "devices have an old task": sum(device.task != trainer.task for device in devices),
            "devices have an old model": sum(device.model != world.newest for device in devices),
        }
        return [f"{what} ({int(number)})" for what, number in found.items() if number]


def patience_ms(freshness_ms: int, expiry_ms: int) -> int:
    """How long all waits together may take: the longest of each kind, one after the other."""
    return PATIENCE_MS + freshness_ms + expiry_ms + 120_000
