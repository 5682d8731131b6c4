"""What goes wrong in a simulation, done to its world: each fault begins, and ends by itself or when all is healed."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from device_sim import topics
from streams.kafka.topics import CANDIDATES, EVENTS, MODELS, REQUESTS, TASKS, TELEMETRY
from streams.simulation.network import Way, Wire
from streams.simulation.plan import HOUR_MS, Fault, Kind
from streams.simulation.process import Process
from streams.simulation.trainer import STRANGER
from wire.event import encode_event

if TYPE_CHECKING:
    from streams.simulation.world import World

LOSS, LOSS_AGAIN = 0.2, 0.6
LONG_PAUSE_MS = 70_000  # longer than the gather waits for a shard
JUMPS_MS = (-2 * HOUR_MS, -90_000, -3_000, 3_000, 90_000, 2 * HOUR_MS)


class Faults:
    """All faults of a plan, on its world's timeline."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._ends: list[Callable[[], object]] = []
        for fault in world.plan.faults:
            world.timeline.after(fault.at_ms, lambda fault=fault: self._begin(fault))  # type: ignore[misc]

    def heal(self) -> None:
        """End all that has not ended, the last first."""
        while self._ends:
            self._ends.pop()()
        for process in self._world.processes:
            process.want()

    def _begin(self, fault: Fault) -> None:
        world = self._world
        world.journal.note(world.timeline.now_ms, "fault", f"{fault.kind} {fault.for_ms} ms")
        end = _BEGIN[fault.kind](world, fault)
        if end is not None:
            self._ends.append(end)
            world.timeline.after(fault.for_ms, lambda: self._end(end))

    def _end(self, end: Callable[[], object]) -> None:
        if end in self._ends:
            self._ends.remove(end)
            end()


End = Callable[[], object] | None
Which = Callable[["World", Fault], Process[Any]]


def _wire(world: "World", fault: Fault) -> Wire | None:
    """One of the connections that stand: a device's, what all of them hear, or a tunnel's."""
    wires = [wire for wire in world.network.wires.values() if wire.open]
    return wires[fault.number % len(wires)] if wires else None


def _cut(world: "World", fault: Fault) -> End:
    if (wire := _wire(world, fault)) is not None:
        wire.cut()
    return None


def _silent(world: "World", fault: Fault) -> End:
    if (wire := _wire(world, fault)) is not None:
        wire.fall_silent(_way(fault))
    return None


def _way(fault: Fault) -> Way:
    return list(Way)[fault.number // 64 % len(Way)]


def _hold(world: "World", fault: Fault) -> End:
    """In the end what was held up gets through, or the connection is cut and nobody knows what had arrived."""
    if (wire := _wire(world, fault)) is None:
        return None
    world.network.hold(wire.name, _way(fault))

    def end() -> None:
        if fault.number // 256 % 2:
            wire.cut()
        world.network.release(wire.name, _way(fault))

    return end


def _burst(world: "World", _fault: Fault) -> End:
    weather = world.network.weather
    weather.loss, weather.loss_again = LOSS, LOSS_AGAIN

    def end() -> None:
        weather.loss = 0.0

    return end


def _broker(world: "World", _fault: Fault) -> End:
    world.broker.stop()
    return world.broker.start


def _kafka(world: "World", _fault: Fault) -> End:
    world.kafka.up = False

    def end() -> None:
        world.kafka.up = True
        world.sometimes.add("Kafka came back")

    return end


def _power(world: "World", fault: Fault) -> End:
    world.flow.kill(fault.for_ms)
    lost = world.disk.power_cut(fault.number % 5 / 5)
    world.journal.note(world.timeline.now_ms, "disk", f"lost {lost} writes")
    if lost:
        world.sometimes.add("what was not synced was lost")
    return None


def _flow_pause(world: "World", fault: Fault) -> End:
    number = fault.number % world.plan.processes
    world.stopped_workers.add(number)
    if fault.number // 4 % 2:
        return lambda: world.stopped_workers.discard(number)
    world.timeline.after(LONG_PAUSE_MS, lambda: world.stopped_workers.discard(number))
    return None


def _killed(which: Which) -> Callable[["World", Fault], End]:
    def begin(world: "World", fault: Fault) -> End:
        which(world, fault).kill(fault.for_ms)
        return None

    return begin


def _paused(which: Which) -> Callable[["World", Fault], End]:
    def begin(world: "World", fault: Fault) -> End:
        process = which(world, fault)
        process.paused = True

        def end() -> None:
            process.paused = False

        return end

    return begin


def _people(world: "World", fault: Fault) -> End:
    who = world.people.come(fault.number)
    return lambda: world.people.go(who)


def _tunnel(world: "World", fault: Fault) -> Process[Any]:
    return world.tunnels[fault.number % len(world.tunnels)]


def _disk_full(world: "World", _fault: Fault) -> End:
    world.disk.full = True

    def end() -> None:
        world.disk.full = False

    return end


def _clock(world: "World", fault: Fault) -> End:
    process = world.processes[fault.number % len(world.processes)]
    by_ms = JUMPS_MS[fault.number // 8 % len(JUMPS_MS)]
    process.jump(by_ms)

    def end() -> None:
        world.read_clocks()
        process.jump(-by_ms)

    return end


def _model(world: "World", _fault: Fault) -> End:
    lineage, version = world.newest_model
    world.newest_model = lineage, version + 1
    return None


def _lineage(world: "World", fault: Fault) -> End:
    lineage, _ = world.newest_model
    if fault.number % 2:
        world.newest_model = lineage + 1, 1
        world.trainer.kill(fault.for_ms)  # begins anew with another initial part of a log
    else:
        world.publish_stranger(STRANGER, 5)
        world.sometimes.add("a stranger's model was offered")
    return None


def _old_model(world: "World", fault: Fault) -> End:
    lineage, version = world.newest_model
    if world.newest not in world.seen.models:
        return None  # it would come first, and be the version of that number
    if fault.number % 2 and version > 1:
        world.publish_stranger(lineage, version - 1)
    else:
        world.publish_stranger(lineage, version, content=1)
    return None


def _hostile(world: "World", fault: Fault) -> End:
    """Something that is no message, to one of the places where messages come in."""
    user = world.users.names[fault.number % len(world.users.names)]
    other = world.users.names[(fault.number + 1) % len(world.users.names)]
    payloads = (
        b"[" * 10_000,
        b'{"format": "event/1", "event_id": "x", "timestamp": NaN}',
        b'{"format": "event/9"}',
        b"\xff\xfe" + bytes(range(256)),
        b"",
        b'{"a":' * 500 + b"1" + b"}" * 500,
        b"[" + b",".join([b'{"event_id": "h"}'] * 20) + b"]",
        json.dumps({"format": "ack/2", "user_id": user, "boot": -1}).encode(),
        b"9" * 100_000,
        *(encode_event(act.event)[:-3] for act in world.users.acts[:1]),
    )
    payload = payloads[fault.number // 7 % len(payloads)]
    up = [topic(user) for topic in (topics.events, topics.ack, topics.requests, topics.telemetry, topics.presence)]
    match fault.number // 71 % 4:
        case 0:
            world.kafka_driver.send((EVENTS, REQUESTS, CANDIDATES, TELEMETRY)[fault.number // 5 % 4], user, payload)
        case 1:
            world.broker.publish(up[fault.number // 5 % len(up)], payload)
        case 2:
            world.kafka_driver.send((MODELS, TASKS)[fault.number // 5 % 2], "current", payload)
        case 3:  # a batch that was made for somebody else
            theirs = world.broker.retained.get(topics.candidates(other))
            world.broker.publish(topics.candidates(user), theirs.payload if theirs else payload, retain=True)
    return None


_BEGIN: dict[Kind, Callable[["World", Fault], End]] = {
    Kind.CUT: _cut,
    Kind.SILENT: _silent,
    Kind.HOLD: _hold,
    Kind.BURST: _burst,
    Kind.BROKER: _broker,
    Kind.KAFKA: _kafka,
    Kind.FLOW_KILL: _killed(lambda world, _: world.flow),
    Kind.FLOW_POWER: _power,
    Kind.FLOW_PAUSE: _flow_pause,
    Kind.TUNNEL_KILL: _killed(_tunnel),
    Kind.TUNNEL_PAUSE: _paused(_tunnel),
    Kind.FLEET_KILL: _killed(lambda world, _: world.fleet),
    Kind.FLEET_PAUSE: _paused(lambda world, _: world.fleet),
    Kind.PEOPLE: _people,
    Kind.TRAINER_KILL: _killed(lambda world, _: world.trainer),
    Kind.DISK_FULL: _disk_full,
    Kind.CLOCK: _clock,
    Kind.HOSTILE: _hostile,
    Kind.MODEL: _model,
    Kind.LINEAGE: _lineage,
    Kind.OLD_MODEL: _old_model,
}
