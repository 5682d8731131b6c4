"""The whole dataflow gives the same messages under Bytewax and under our own scheduler, after a crash, too."""

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import AbortExecution
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main

from monitor.metrics import Metrics
from streams.bus import Message
from streams.flow.blame import Blame
from streams.flow.dataflow import build_flow
from streams.flow.settings import FlowSettings
from streams.flow.sink import Outgoing
from streams.kafka.topics import EVENTS, REQUESTS
from streams.simulation.engine import Engine
from streams.simulation.flow import SimulatedShards, SimulatedStates
from streams.simulation.memory_db import Disk
from streams.simulation.snapshots import Snapshots
from streams.simulation.timeline import START_MS, Timeline, VirtualClock
from streams.simulation.trainer import made
from tests.streams.simulation.test_engine import Collected, Listed
from wire.event import Event, encode_event
from wire.telemetry import MatchRequest, encode_report

SETTINGS = FlowSettings(bootstrap="", pool="", state="", shards=2, match_every=3, candidates=6, window_count=40)


def messages(seed: int, number: int = 60) -> list[list[Message]]:
    """Events of five users, some twice, some broken, some a day ahead, and requests; in batches of some."""
    dice, batches, offset = random.Random(seed), [], 0
    while offset < number:
        batch = []
        for _ in range(dice.randint(1, 6)):
            user, at = f"user-{dice.randrange(5)}", START_MS - 10_000_000 + 60_000 * offset
            if dice.random() < 0.1:
                topic, value = REQUESTS, encode_report(MatchRequest(user, "connected", 1))
            else:
                ahead = 86_400_000 if dice.random() < 0.05 else 0
                name, item = f"event-{offset - dice.randrange(3)}", dice.randrange(20)
                event = Event(name, user, f"item-{item}", "kind-0", "click", 1 if item % 2 else 0, at + ahead)
                topic, value = EVENTS, encode_event(event)[: -3 if dice.random() < 0.05 else None]
            batch.append(Message(topic, 0, offset, user.encode(), value, START_MS, {}))
            offset += 1
        batches.append(batch)
    return batches


class Sent(Collected):
    """Collects what would go to Kafka."""

    part = "all"

    def by_key(self, number: int) -> dict[tuple[str, bytes], list[bytes]]:
        found: dict[tuple[str, bytes], list[bytes]] = {}
        for outgoing in self.got[:number]:
            assert isinstance(outgoing, Outgoing)
            for key, value in zip(outgoing.keys, outgoing.values, strict=True):
                found.setdefault((outgoing.topic, key), []).append(value)
        return found


def flow(source: Any, sink: Any, disk: Disk) -> Dataflow:
    pools = SimulatedShards(disk, SETTINGS.shards, SETTINGS.pool_spec, note=str)
    clock = VirtualClock(Timeline())
    return build_flow(
        SETTINGS,
        source,
        sink,
        pools,
        SimulatedStates(disk, SETTINGS.shards),
        clock=clock,
        metrics=Metrics(),
        model=lambda: made(1, 1),
        blame=Blame(),
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_whole_dataflow_gives_the_same_after_a_crash_too(seed: int, tmp_path: Path) -> None:
    init_db_dir(tmp_path, 1)  # type: ignore[no-untyped-call]
    snapshots, ours_on, theirs_on = Snapshots(), Disk(), Disk()
    batches: Any = messages(seed)
    for dies_after in (len(batches) // 2, None):
        ours, theirs = Sent(), Sent()
        cluster_main(  # type: ignore[no-untyped-call]
            flow(Listed({"p": batches}, dies_after), theirs, theirs_on),
            [],
            0,
            epoch_interval=timedelta(0),
            recovery_config=RecoveryConfig(str(tmp_path)),  # type: ignore[no-untyped-call]
        )
        clock = VirtualClock(Timeline())
        made_flow = flow(Listed({"p": batches}, dies_after), ours, ours_on)
        engine = Engine([made_flow], snapshots, 0, now=clock.now, steady_ms=clock.steady_ms)
        try:
            while not engine.ended:
                engine.step()
        except AbortExecution:
            pass
        assert ours.by_key(ours.safe) == theirs.by_key(theirs.safe)
        assert ours.safe > 0
