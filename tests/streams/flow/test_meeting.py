"""Supervisors of several hosts that meet over loopback, each looked at in turn."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from streams.flow.hosts import Hosts, parse_hosts
from streams.flow.link import SILENT_MS, Hello
from streams.flow.meeting import Chair, Member, listen
from streams.flow.uncounted import Progress
from streams.ports import free_ports
from streams.supervisor import Phase
from tests.clock import HandClock
from wire.errors import ConnectionFailed, InputError

PATIENCE_S = 20


def hello(machines: Hosts, **changes: Any) -> Hello:
    said = Hello(
        hosts=str(machines),
        host=machines.own,
        settings={"match_every": 20},
        kafka="k",
        state="",
        begun=False,
        progress=Progress(),
    )
    return msgspec.structs.replace(said, **changes)


class Machines:
    """Three hosts, each with its own clock and a disk that remembers what its state is called."""

    def __init__(self) -> None:
        ports = sorted(free_ports(300))[::100]  # each takes the one after its own, too
        self.words = ",".join(f"127.0.0.1:{port}" for port in ports)
        self.clocks = [HandClock() for _ in range(3)]
        self.states, self.begun = ["", "", ""], [False] * 3
        self.progress, self.epochs = [Progress()] * 3, list[int | None]()
        self.there: dict[int, Chair | Member] = {}

    def start(self, number: int, **changes: Any) -> None:
        hosts, clock = parse_hosts(self.words, number, 1), self.clocks[number]
        said = lambda: hello(  # noqa: E731
            hosts, state=self.states[number], begun=self.begun[number], progress=self.progress[number], **changes
        )

        def settle(name: str, epoch: int | None) -> None:
            self.states[number] = name
            self.epochs.append(epoch)

        if number:
            self.there[number] = Member(hosts, said, clock, settle)
        else:
            self.there[0] = Chair(hosts, said, clock, settle, f"state-{time.monotonic_ns()}")

    def kill(self, number: int) -> None:
        self.there.pop(number).close()

    def phases(self) -> list[Phase]:
        return [self.there[number].look() for number in sorted(self.there)]

    def until(self, holds: Callable[[list[Phase]], bool], ms_a_look: int = 100) -> list[Phase]:
        deadline_s = time.monotonic() + PATIENCE_S
        while not holds(phases := self.phases()):
            assert time.monotonic() < deadline_s, f"still {phases}"
            for clock in self.clocks:
                clock.passes(ms_a_look)
            time.sleep(0.002)
        return phases

    def gather(self) -> None:
        for each in self.there.values():
            each.part()
        self.until(lambda phases: phases == [Phase.TOGETHER] * 3)


@pytest.fixture
def machines() -> Iterator[Machines]:
    made = Machines()
    yield made
    for number in list(made.there):
        made.kill(number)


def test_all_go_on_at_the_epoch_that_is_done_nowhere(machines: Machines) -> None:
    for number in range(3):
        machines.start(number)
    machines.until(lambda phases: phases == [Phase.TOGETHER] * 3)
    assert machines.epochs == [None] * 3
    machines.epochs.clear()
    for number, front in enumerate((9, 7, 8)):
        machines.progress[number] = Progress([(2, 3, 5)] if number == 1 else [], [(2, number, front)])
    machines.gather()
    assert machines.epochs == [7] * 3


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_all_begin_together_whoever_comes_first_and_name_their_state(machines: Machines, order: list[int]) -> None:
    for number in order[:-1]:
        machines.start(number)
    for _ in range(20):
        assert set(machines.phases()) == {Phase.GATHERING}
        for clock in machines.clocks:
            clock.passes(100)
    machines.start(order[-1])
    machines.until(lambda phases: phases == [Phase.TOGETHER] * 3)
    assert len(set(machines.states)) == 1 and machines.states[0].startswith("state-")


@pytest.mark.parametrize("dies", [0, 1, 2])
def test_when_one_dies_all_others_know_and_gather_again_when_it_is_back(machines: Machines, dies: int) -> None:
    for number in range(3):
        machines.start(number)
    machines.until(lambda phases: phases == [Phase.TOGETHER] * 3)
    before = list(machines.states)
    machines.kill(dies)
    if dies == 0:
        machines.until(lambda phases: phases == [Phase.APART] * 2)
    else:
        machines.until(lambda phases: phases[0] is Phase.APART)
        machines.there[0].part()  # as its supervisor does: the third learns by that
        machines.until(lambda phases: phases == [Phase.GATHERING, Phase.APART])
    machines.start(dies)
    machines.gather()
    assert machines.states == before


def test_a_machine_that_goes_silent_is_gone_after_ten_seconds(machines: Machines) -> None:
    for number in range(3):
        machines.start(number)
    machines.until(lambda phases: phases == [Phase.TOGETHER] * 3)
    frozen = machines.there.pop(2)  # its connection stays open
    for _ in range(SILENT_MS // 500):
        assert machines.phases() == [Phase.TOGETHER] * 2
        for clock in machines.clocks:
            clock.passes(450)
        time.sleep(0.002)
    machines.until(lambda phases: phases[0] is Phase.APART)
    frozen.close()


def test_one_that_is_told_to_stop_is_heard_by_all(machines: Machines) -> None:
    for number in range(3):
        machines.start(number)
    machines.until(lambda phases: phases == [Phase.TOGETHER] * 3)
    machines.there[1].end()
    machines.until(lambda phases: phases == [Phase.ENDING] * 3)


def refused(machines: Machines, number: int) -> str:
    with pytest.raises(InputError) as told:
        machines.until(lambda _: False)
    machines.kill(number)
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hosts": "b:1,a:1"}, "its --hosts are b:1,a:1, those of host 0 127.0.0.1:"),
        ({"settings": {"match_every": 30}}, "its --match-every is 30, that of host 0 20: give all hosts the same"),
        ({"kafka": "another"}, "its Kafka is cluster another, that of host 0 k"),
    ],
)
def test_a_host_that_was_told_otherwise_is_refused_and_the_others_wait_on(
    machines: Machines, changes: dict[str, Any], says: str
) -> None:
    machines.start(0)
    machines.start(1, **changes)
    assert says in refused(machines, 1)
    for number in (1, 2):
        machines.start(number)
    machines.until(lambda phases: phases == [Phase.TOGETHER] * 3)


def test_two_that_claim_one_number_are_told_and_the_dataflow_goes_on(machines: Machines) -> None:
    for number in range(3):
        machines.start(number)
    machines.until(lambda phases: phases == [Phase.TOGETHER] * 3)
    first = machines.there[1]
    machines.start(1)
    machines.there[3] = first
    assert "host 1 is there already" in refused(machines, 1)
    assert machines.phases() == [Phase.TOGETHER] * 3


@pytest.mark.parametrize("without", [0, 1, 2])
def test_a_host_that_lost_its_disk_is_told_and_so_are_all_others(machines: Machines, without: int) -> None:
    for number in range(3):
        machines.start(number)
    machines.until(lambda phases: phases == [Phase.TOGETHER] * 3)
    machines.begun = [True] * 3
    machines.kill(without)
    machines.until(lambda phases: Phase.APART in phases)
    for each in machines.there.values():
        each.part()
    machines.states[without], machines.begun[without] = "", False
    machines.start(without)
    said = refused(machines, 2)
    assert f"the --state of host {without} is new or of another dataflow" in said
    assert "delete the --state of every host" in said


def test_a_state_that_nobody_has_written_to_is_named_anew(machines: Machines) -> None:
    """Somebody died between the name and the beginning."""
    machines.states = ["cut off", "cut off", ""]
    for number in range(3):
        machines.start(number)
    machines.until(lambda phases: phases == [Phase.TOGETHER] * 3)
    assert len(set(machines.states)) == 1 and machines.states[0] != "cut off"


def test_strangers_on_the_port_disturb_nobody(machines: Machines) -> None:
    machines.start(0)
    port = int(machines.words.split(",")[0].rpartition(":")[2])
    strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
    for stranger, word in zip(strangers, (b"GET / HTTP/1.1\r\n\r\n", b"x" * 3_000_000, b"{}\n", b""), strict=True):
        stranger.setblocking(False)
        with suppress(BlockingIOError):
            stranger.send(word)
    for number in (1, 2):
        machines.start(number)
    machines.until(lambda phases: phases == [Phase.TOGETHER] * 3)
    for stranger in strangers:
        stranger.close()


def test_who_is_waited_for_is_said_at_once_and_every_ten_seconds(
    machines: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    machines.start(0)
    for _ in range(250):
        machines.phases()
        machines.clocks[0].passes(100)
    lines = [line for line in capsys.readouterr().out.splitlines() if "waiting for host 1 at 127.0.0.1:" in line]
    assert [line.split(", ")[-1].strip() for line in lines] == ["0 s", "10 s", "20 s"]
    assert all(" and host 2 at 127.0.0.1:" in line for line in lines)


@pytest.mark.parametrize(
    ("answer", "says"), [(b"", "it closed the connection"), (b"HTTP/1.1 400\r\n", "it is no host of a dataflow")]
)
def test_what_listens_in_host_0s_place_is_said(
    machines: Machines, capsys: pytest.CaptureFixture[str], answer: bytes, says: str
) -> None:
    name, port = machines.words.split(",")[0].split(":")
    with socket.create_server((name, int(port))) as other:
        machines.start(1)
        machines.phases()
        connection, _ = other.accept()
        connection.recv(1 << 16)
        connection.send(answer)
        connection.close()
        machines.until(
            lambda _: f"waiting for host 0 at {name}:{port}, " in (said := capsys.readouterr().out) and says in said
        )


def test_a_port_that_is_taken_and_an_address_of_another_machine_are_told() -> None:
    (port,) = free_ports(1)
    (address,) = parse_hosts(f"127.0.0.1:{port}", 0, 1).addresses
    with listen(address), pytest.raises(ConnectionFailed, match=f"cannot listen at 127.0.0.1:{port}"):
        listen(address)
    (elsewhere,) = parse_hosts("192.0.2.1:9000", 0, 1).addresses
    with pytest.raises(ConnectionFailed, match="--host says which of --hosts this machine is"):
        listen(elsewhere)
