"""One dataflow on two hosts, one of them a network namespace: it dies, or its cable is pulled, and it comes back."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from index.pool import Pool
from models.sample import SampleBlock
from streams.faults.convergence import Pooled, pooled_of
from streams.kafka.embedded import EmbeddedKafka
from tests.integration.namespace import Namespace
from tests.integration.stack import REPOSITORY, free_port
from tests.streams.flow.world import Flow, World, keys, stream, wait_until

PATIENCE_S = 120
START = Callable[..., "subprocess.Popen[str]"]


class Host:
    """`coda flow` as one of several hosts, with a disk of its own; `start` begins a process on its network."""

    def __init__(self, folder: Path, start: START, *flags: str) -> None:
        folder.mkdir()
        self.folder, self._start = folder, start
        self._command = [sys.executable, "-m", "streams.cli", "flow", "--pool", "pool", "--state", "state", *flags]
        self.start()

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = self._start(
                self._command,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
            )

    def kill(self) -> None:
        """`kill -9`, the whole group."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def said(self) -> str:
        return (self.folder / "log").read_text()

    def misses(self, host: str, why: str = "") -> None:
        words = rf"{host} at [^ ]+ is gone \(.*{why}.*\)\n.* waiting for {host}"
        wait_until(lambda: re.search(words, self.said()) is not None, f"a word about {host}", PATIENCE_S)


@contextmanager
def host(folder: Path, start: START, *flags: str) -> Iterator[Host]:
    made = Host(folder, start, *flags)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.kill()


def pooled(*folders: Path) -> Pooled:
    blocks: list[SampleBlock] = []
    for shard in [shard for folder in folders for shard in sorted((folder / "pool").glob("shard-*"))]:
        with Pool.open(shard, read_only=True) as pool:
            blocks += pool.store.read()
    assert sum(map(len, blocks)) == len({int(key) for block in blocks for key in block.sample}), "some are there twice"
    return pooled_of(blocks)


def drained(world: World) -> None:
    wait_until(lambda: world.lag() == 0, "the dataflow to be through", PATIENCE_S)


def undisturbed(events: list[Any], folder: Path) -> Pooled:
    with EmbeddedKafka() as kafka:
        world = World(kafka.bootstrap)
        world.publish()
        world.send(events)
        with Flow(world, folder) as flow:
            drained(world)
            assert flow.stop() == 130
    return pooled(folder)


def dies(_space: Namespace, one: Host, zero: Host) -> None:
    one.kill()
    zero.misses("host 1")
    one.start()


def is_cut_off(space: Namespace, one: Host, zero: Host) -> None:
    space.pull()
    zero.misses("host 1", "silent for 10 s")
    one.misses("host 0", "silent for 10 s")
    space.plug()


@pytest.mark.timeout(600)
def test_a_host_that_is_away_and_comes_back_costs_no_event_and_doubles_none(tmp_path: Path) -> None:
    events = stream(1000, users=40)
    port = free_port()
    with Namespace(os.getpid()) as space, EmbeddedKafka() as kafka:
        world = World(kafka.bootstrap)
        world.publish()
        hosts = f"{space.outside}:{port},{space.inside}:{port}"
        flags = ("--bootstrap", kafka.bootstrap, "--min-users", "1", "--epoch", "100ms", "--hosts", hosts, "--host")
        with (
            space.forwarded(int(kafka.bootstrap.rpartition(":")[2])),
            host(tmp_path / "zero", _here, *flags, "0") as zero,
            host(tmp_path / "one", space.start, *flags, "1") as one,
        ):
            for at, fault in ((200, dies), (600, is_cut_off)):
                world.send(events[at - 200 : at])
                drained(world)
                world.send(events[at : at + 200])
                fault(space, one, zero)
            world.send(events[800:])
            drained(world)
            assert one.stop() == 128 + signal.SIGTERM and zero.stop() == 128 + signal.SIGTERM
            assert "ended: " in one.said() and "ended: " in zero.said(), "in good order, both with one told to stop"
    assert set(keys(events)) == pooled(tmp_path / "zero", tmp_path / "one").samples
    for folder in (tmp_path / "zero", tmp_path / "one"):
        assert pooled(folder).samples, "each host has a share"
    both = pooled(tmp_path / "zero", tmp_path / "one")
    assert both.digest == undisturbed(events, tmp_path / "undisturbed").digest


def _here(command: list[str], **settings: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, text=True, **settings)
