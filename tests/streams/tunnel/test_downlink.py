"""The way down between a simulated Kafka and a simulated broker, a step at a time."""

from collections.abc import Callable, Sequence
from typing import Any

from device_sim import topics
from monitor.metrics import Metrics
from streams.kafka.topics import CANDIDATES, MODELS, TASKS, TELEMETRY
from streams.mqtt.broker import Received
from streams.simulation.bus import SimulatedBus
from streams.simulation.dice import Dice
from streams.simulation.journal import Journal
from streams.simulation.kafka import SimulatedKafka
from streams.simulation.mqtt import SimulatedBroker
from streams.simulation.network import Network, Weather
from streams.simulation.timeline import Timeline, VirtualClock
from streams.tunnel.downlink import Downlink
from streams.tunnel.phase import Phase
from tests.streams.tunnel.world import batch
from wire.batch import decode_batch
from wire.claim import Claim
from wire.push_headers import PushHeaders
from wire.telemetry import Presence, encode_report


class Stage:
    """Kafka, a broker, and the tunnels between them."""

    def __init__(self) -> None:
        self.timeline, journal = Timeline(), Journal()
        dice = Dice(1, self.timeline, journal)
        self.clock = VirtualClock(self.timeline)
        kafka = SimulatedKafka(self.timeline, dice.die("kafka"), journal)
        kafka.create([CANDIDATES, TELEMETRY, MODELS, TASKS])
        self.bus = SimulatedBus(kafka, self.clock)
        network = Network(self.timeline, dice.die("network"), Weather())
        self.broker = SimulatedBroker(self.timeline, network, dice.die("broker"), journal)
        self.tunnels: list[Downlink] = []

    def begin(self, name: str) -> None:
        """Another tunnel, which carries before any other does anything."""
        claim = Claim(name, "1", self.clock.wall_ms())
        self.tunnels.append(Downlink(self.bus, self.broker, self.clock, claim, metrics=Metrics(), expiry_ms=600_000))
        self.tunnels[-1].open()
        self.until(lambda: self.tunnels[-1].phase is Phase.CARRYING, self.tunnels[-1:])

    def push(self, seq: int) -> None:
        """The dataflow has a batch for ann, in a partition that the second of two tunnels gets."""
        raw = batch("ann", seq, self.clock.wall_ms())
        headers = PushHeaders.of(decode_batch(raw)).encode()
        self.bus.producer().send(CANDIDATES, "ann", raw, headers=headers, partition=1)

    def retained(self) -> int:
        kept = self.broker.retained.get(topics.candidates("ann"))
        return decode_batch(kept.payload).batch_seq if kept else -1

    def passes(self, ms: int) -> None:
        """Time, in which no tunnel does anything."""
        self.timeline.run(self.timeline.now_ms + ms)

    def until(self, holds: Callable[[], object], stepped: Sequence[Downlink] = ()) -> None:
        """Let some tunnels work, or all."""
        for _ in range(60_000):
            if holds():
                return
            self.passes(1)
            for tunnel in stepped or self.tunnels:
                tunnel.step()
        raise AssertionError("it never came to that")


def test_whoever_gave_a_device_away_does_not_bring_back_its_batch_over_a_newer_one() -> None:
    stage = Stage()
    stage.begin("one")
    stage.push(1)
    stage.until(lambda: stage.retained() == 1)
    stage.begin("two")  # meanwhile the broker's word on the first batch lies there unread
    stage.push(2)
    stage.until(lambda: stage.retained() == 2)
    stage.broker.sessions["coda-tunnel-one-down-1"].wire.cut()
    stage.until(lambda: "coda-tunnel-one-down-1" not in stage.broker.sessions)
    stage.until(lambda: "coda-tunnel-one-down-1" in stage.broker.sessions)
    end_ms = stage.timeline.now_ms + 5_000
    stage.until(lambda: stage.timeline.now_ms >= end_ms)
    assert stage.retained() == 2


def presence(device: str, connection: int) -> Received:
    return Received(topics.presence(device), encode_report(Presence(device, online=True)), True, 0, connection)


def test_who_is_there_stays_known_when_a_broker_that_came_back_says_so_at_once() -> None:
    stage = Stage()
    stage.begin("one")
    (tunnel,) = stage.tunnels
    client: Any = tunnel._client
    client._received.append(presence("bob", client.connections))
    stage.push(1)
    stage.until(lambda: stage.retained() == 1)
    client.connections += 1  # between two steps it is connected again, and hears what is retained
    client._received.append(presence("ann", client.connections))
    tunnel.step()
    assert list(tunnel._online) == [topics.presence("ann")], "bob may have gone meanwhile"
    stage.passes(1_000)
    tunnel.step()
    assert tunnel.pushed is not None
    assert tunnel.pushed.behind == 1
