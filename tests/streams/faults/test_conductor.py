"""Faults of processes, on real ones that do nothing."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from monitor.metrics import Metrics
from streams.faults.conductor import Conductor
from streams.faults.process_faults import DiskFull, Kill, Pause
from streams.faults.process_state import state_of
from streams.faults.proxy import FaultProxy
from streams.faults.small_disk import free_bytes
from streams.faults.timetable import Order
from streams.faults.toxics import Down, HalfOpen
from streams.kafka.connection import KafkaSettings
from tests.disks import small_disk
from tests.integration.stack import wait_until
from wire.errors import CodaError


class Sleeper:
    """A process that sleeps."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

    def kill(self, _grace_s: float = 0.0) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        self._process = None


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    made = Sleeper()
    made.start()
    yield made
    made.kill()


def conduct(
    orders: list[Order],
    sleeper: Sleeper,
    proxies: dict[str, list[FaultProxy]] | None = None,
    *,
    pool: Path | None = None,
    metrics: Metrics | None = None,
    more: Mapping[str, Sleeper] | None = None,
) -> Conductor:
    made = Conductor(
        orders,
        proxies=proxies or {},
        victims={"flow": sleeper, **(more or {})},
        kafka=KafkaSettings("127.0.0.1:1"),
        metrics=metrics or Metrics(),
        elapsed_s=time.monotonic,
        pool=pool,
    )
    made.start()
    return made


def wait(conductor: Conductor) -> None:
    wait_until(lambda: conductor.finished, "the end of all faults", 20, every_s=0.01)
    conductor.check()


def test_a_fault_is_counted_when_it_begins_and_when_it_is_over(sleeper: Sleeper) -> None:
    metrics = Metrics()

    def counted() -> list[float]:
        return [metrics.value(each, fault="pause flow") for each in (Metrics.faults_begun, Metrics.faults_over)]

    conductor = conduct([Order(Pause(process="flow"), 0.0, 1.0)], sleeper, metrics=metrics)
    wait_until(lambda: counted() == [1, 0], "the fault to be counted", 5, every_s=0.01)
    wait(conductor)
    assert counted() == [1, 1]


def test_a_killed_process_is_gone_and_another_one_comes(sleeper: Sleeper) -> None:
    before = sleeper.pid
    conductor = conduct([Order(Kill(process="flow"), 0.0, 0.2)], sleeper)
    wait(conductor)
    (done,) = conductor.done
    assert done.acted and done.effect.seen == f"flow ({before}) ended"
    assert done.ended_s - done.began_s >= 0.15
    assert sleeper.pid not in (None, before)


def test_a_paused_process_is_stopped_and_goes_on(sleeper: Sleeper) -> None:
    assert sleeper.pid is not None
    pid = sleeper.pid
    conductor = conduct([Order(Pause(process="flow"), 0.0, 2.0)], sleeper)
    wait_until(lambda: state_of(pid) == "T", "a process that stands still", 20, every_s=0.01)
    wait(conductor)
    assert conductor.done[0].acted
    assert state_of(sleeper.pid) in ("S", "R")


def test_a_full_disk_is_full_until_the_flow_has_ended_and_then_the_flow_is_started_again(
    sleeper: Sleeper, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "pool", 1 << 20) as disk:
        conductor = conduct([Order(DiskFull(), 0.0, 0.2)], sleeper, pool=disk)
        wait_until(lambda: free_bytes(disk) == 0, "a full disk", 20, every_s=0.01)
        assert "flow" in conductor.may_end and sleeper.pid is not None
        before = sleeper.pid
        os.kill(before, signal.SIGTERM)
        wait(conductor)
        assert free_bytes(disk) > 0 and sleeper.pid not in (None, before)
    assert conductor.done[0].effect.seen == f"0 bytes free, flow ({before}) ended" and not conductor.may_end


def test_a_connection_that_is_half_open_for_good_is_seen_to_block_what_comes_later(sleeper: Sleeper) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        FaultProxy(server.getsockname()) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port)) as client,
    ):
        client.sendall(b"\x00\x00\x00\x10")
        with server.accept()[0]:
            conductor = conduct([Order(HalfOpen(), 0.5, 0.1, link="devices")], sleeper, {"devices": [proxy]})
            wait(conductor)
            assert not conductor.done[0].acted, "nobody has said anything"
            client.sendall(b"hello")
            wait_until(lambda: conductor.done[0].effect.blocked_bytes == 5, "what is blocked", 20, every_s=0.01)
    assert conductor.done[0].acted


def test_a_fault_of_kafka_acts_at_each_nodes_proxy_and_is_counted_once(sleeper: Sleeper) -> None:
    with FaultProxy(("127.0.0.1", 1)) as first, FaultProxy(("127.0.0.1", 1)) as second:
        conductor = conduct([Order(Down(), 0.0, 0.6, link="kafka")], sleeper, {"kafka": [first, second]})
        time.sleep(0.2)
        for proxy in (first, second):
            with socket.create_connection(("127.0.0.1", proxy.port)) as client:
                client.sendall(b"\x00\x00\x00\x10")
                with suppress(ConnectionError):
                    client.recv(1)
        wait(conductor)
    assert conductor.done[0].effect.refused == 2


def test_what_does_not_run_cannot_be_broken(sleeper: Sleeper) -> None:
    sleeper.kill()
    conductor = conduct([Order(Kill(process="flow"), 0.0, 0.1)], sleeper)
    with pytest.raises(CodaError, match="flow does not run"):
        wait(conductor)


def test_where_one_fault_fails_what_else_is_in_force_is_lifted(sleeper: Sleeper) -> None:
    orders = [Order(Pause(process="flow"), 0.0, 60.0), Order(Pause(process="tunnel"), 0.1, 60.0)]
    absent = Sleeper()
    conductor = conduct(orders, sleeper, more={"tunnel": absent})
    with pytest.raises(CodaError, match="tunnel does not run"):
        wait(conductor)
    assert sleeper.pid is not None and state_of(sleeper.pid) in ("S", "R")


def test_closing_lifts_what_is_in_force_and_begins_nothing_more(sleeper: Sleeper) -> None:
    with FaultProxy(("127.0.0.1", 1)) as proxy:
        orders = [Order(Down(), 0.0, 60.0), Order(Down(), 30.0, 60.0)]
        conductor = conduct(orders, sleeper, {"devices": [proxy]})
        time.sleep(0.2)
        conductor.close()
    assert [done.acted for done in conductor.done] == [False], "nobody was there"
