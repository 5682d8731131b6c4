"""MQTT brokers for the contract suite, all with the same face: a simulated one joins by being listed in `STAGES`."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest

from monitor.metrics import Metrics
from streams.mqtt.broker import Broker
from streams.mqtt.paho_broker import PahoBroker
from streams.simulation.dice import Dice
from streams.simulation.journal import Journal
from streams.simulation.mqtt import SimulatedBroker
from streams.simulation.network import Network, Weather
from streams.simulation.timeline import Timeline
from tests.streams.mqtt.brokers import KINDS
from tests.streams.mqtt.brokers import Broker as Running


class Stage(Protocol):
    """A broker that nobody has used, and what a test does to the world around it."""

    broker: Broker

    def until(self, holds: Callable[[], object], what: str) -> None:
        """Let time pass until `holds()`; fails with `what` never came."""

    def passes(self, seconds: float) -> None:
        """Let time pass."""

    def crash(self) -> None:
        """The broker dies, and whatever it did not put on a disk is gone."""

    def restart(self) -> None:
        """It comes back."""


class LiveStage:
    """A broker at an address."""

    def __init__(self, running: Running) -> None:
        self.broker: Broker = PahoBroker(running.settings, Metrics())
        self.crash, self.restart, self.passes = running.kill, running.start, time.sleep

    def until(self, holds: Callable[[], object], what: str) -> None:
        end_s = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < end_s, f"never came: {what}"
            time.sleep(0.005)


@contextmanager
def _live(kind: Any, folder: Path) -> Iterator[Stage]:
    with kind(folder) as running:
        yield LiveStage(running)


class SimulatedStage:
    """One by a virtual clock."""

    def __init__(self) -> None:
        self._timeline, journal = Timeline(), Journal()
        dice = Dice(1, self._timeline, journal)
        network = Network(self._timeline, dice.die("network"), Weather())
        broker = SimulatedBroker(self._timeline, network, dice.die("mqtt"), journal, persistent=False)
        self.broker: Broker = broker
        self.crash, self.restart = broker.stop, broker.start

    def until(self, holds: Callable[[], object], what: str) -> None:
        for _ in range(1000):
            if holds():
                return
            self.passes(0.1)
        raise AssertionError(f"never came: {what}")

    def passes(self, seconds: float) -> None:
        self._timeline.run(self._timeline.now_ms + round(seconds * 1000))


@contextmanager
def _simulated(_folder: Path) -> Iterator[Stage]:
    yield SimulatedStage()


STAGES = [pytest.param(_simulated, id="simulated")]
STAGES += [pytest.param(partial(_live, each.values[0]), id=each.id, marks=each.marks) for each in KINDS]
