"""The supervisor with children that are a few lines of Python each."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from streams import supervisor
from streams.stop import Stop
from streams.supervisor import OneMachine, Phase
from wire.errors import ConnectionFailed

PROLOGUE = """
import os, signal, sys, time
folder, number, addresses = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
open(f"{folder}/starts-{number}", "a").write(" ".join(addresses) + "\\n")
starts = len(open(f"{folder}/starts-{number}").readlines())
first = f"{folder}/starts-0"
while not (os.path.exists(first) and os.path.getsize(first)):  # lest who ends soonest ends the other before it wrote
    time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_PAUSE_S", 0.01)


def child(folder: Path, body: str) -> list[str]:
    return [sys.executable, "-c", PROLOGUE + body, str(folder)]


def supervise(command: list[str], processes: int, stop: Stop) -> int:
    return supervisor.supervise("dataflow", command, range(processes), OneMachine(processes), stop)


def starts(folder: Path) -> list[list[str]]:
    return [path.read_text().splitlines() for path in sorted(folder.glob("starts-*"))]


def test_ends_when_all_are_done(tmp_path: Path) -> None:
    assert supervise(child(tmp_path, "sys.exit(0)"), 3, Stop()) == 0
    (first,), (second,), (third,) = starts(tmp_path)
    assert first == second == third and len(set(first.split())) == 3  # all know all addresses
    assert all(address.startswith("127.0.0.1:") for address in first.split())


def test_restarts_all_when_one_dies(tmp_path: Path) -> None:
    dies = "if number == 1 and starts == 1: os.kill(os.getpid(), signal.SIGKILL)\nif starts == 1: time.sleep(60)"
    assert supervise(child(tmp_path, dies), 2, Stop()) == 0
    (before, after), (_, _) = starts(tmp_path)
    assert before != after  # a port of the dead may linger


def test_settings_that_no_restart_mends_end_it(tmp_path: Path) -> None:
    assert supervise(child(tmp_path, "sys.exit(2 if number else 0)"), 2, Stop()) == 2
    assert [len(lines) for lines in starts(tmp_path)] == [1, 1]


def test_gives_up_on_what_keeps_dying(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed, match="died 6 times"):
        supervise(child(tmp_path, "sys.exit(1)"), 1, Stop())


def test_processes_that_want_to_begin_anew_all_do_when_the_last_one_has_ended(tmp_path: Path) -> None:
    ends = f"""
if starts == 1:
    time.sleep(0.5 * number)
    open(f"{{folder}}/ended-{{number}}", "w").close()
    sys.exit({supervisor.AGAIN})
"""
    assert supervise(child(tmp_path, ends), 2, Stop()) == 0
    assert len(list(tmp_path.glob("ended-*"))) == 2  # the first one's end was no reason to end the second
    assert [len(lines) for lines in starts(tmp_path)] == [2, 2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_children_finish(tmp_path: Path, number: signal.Signals) -> None:
    drains = """
def finish(*_):
    open(f"{folder}/finished-{number}", "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
open(f"{folder}/ready-{number}", "w").close()
time.sleep(60)
"""

    def tell() -> None:
        while len(list(tmp_path.glob("ready-*"))) < 2:
            pass
        os.kill(os.getpid(), number)

    threading.Thread(target=tell).start()
    assert supervise(child(tmp_path, drains), 2, Stop()) == 128 + number
    assert len(list(tmp_path.glob("finished-*"))) == 2


def test_a_second_signal_ends_at_once() -> None:
    stop = Stop()
    with stop.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.exit_code == 128 + signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_second_ctrl_c_kills_children_that_do_not_finish(tmp_path: Path) -> None:
    stubborn = """
signal.signal(signal.SIGTERM, lambda *_: open(f"{folder}/told-{number}", "w").close())
open(f"{folder}/ready-{number}", "w").close()
while True:
    time.sleep(0.1)
"""

    def twice() -> None:
        for name in ("ready", "told"):
            while len(list(tmp_path.glob(f"{name}-*"))) < 2:
                pass
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=twice).start()
    began_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        supervise(child(tmp_path, stubborn), 2, Stop())
    assert time.monotonic() < began_s + 20  # and not after the 60 s that it has to drain


def test_what_no_restart_mends_is_tried_once_and_is_a_failure(tmp_path: Path) -> None:
    assert supervise(child(tmp_path, f"sys.exit({supervisor.NO_RESTART})"), 1, Stop()) == 1
    assert [len(lines) for lines in starts(tmp_path)] == [1]


def test_ctrl_c_does_not_reach_a_process_that_is_starting(tmp_path: Path) -> None:
    assert supervise(child(tmp_path, "os.kill(os.getpid(), signal.SIGINT); sys.exit(0)"), 1, Stop()) == 0
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


class OtherHost:
    """A meeting with one more host: it is there, or as `phases` say, the first look first."""

    def __init__(self, *phases: Phase) -> None:
        self.phases, self.ended, self.parted = list(phases), 0, 0

    def look(self) -> Phase:
        return self.phases.pop(0) if self.phases else Phase.TOGETHER

    def addresses(self) -> list[str]:
        return ["a:1", "b:1"]

    def end(self) -> None:
        self.ended += 1

    def part(self) -> None:
        self.parted += 1


def test_processes_of_this_host_have_their_numbers_and_know_all_addresses(tmp_path: Path) -> None:
    (tmp_path / "starts-0").write_text("of the other host")
    assert supervisor.supervise("dataflow", child(tmp_path, "sys.exit(0)"), range(1, 2), OtherHost(), Stop()) == 0
    assert starts(tmp_path)[1] == ["a:1 b:1"]


def test_it_waits_for_other_hosts_before_it_starts_anything(tmp_path: Path) -> None:
    meeting = OtherHost(*[Phase.GATHERING] * 3, Phase.APART, Phase.GATHERING)
    assert supervisor.supervise("dataflow", child(tmp_path, "sys.exit(0)"), range(1), meeting, Stop()) == 0
    assert not meeting.phases and meeting.parted == 2 and [len(lines) for lines in starts(tmp_path)] == [1]


def test_another_host_that_is_gone_ends_ours_at_once_and_we_gather_anew(tmp_path: Path) -> None:
    sleeps = "if starts == 1: signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"

    class Vanishing(OtherHost):
        def look(self) -> Phase:
            return Phase.APART if starts(tmp_path) and not self.parted else Phase.TOGETHER

    began_s = time.monotonic()
    assert supervisor.supervise("dataflow", child(tmp_path, sleeps), range(1), Vanishing(), Stop()) == 0
    assert time.monotonic() < began_s + 30  # and not after the 60 s that it would have to drain


def test_another_host_that_is_told_to_stop_lets_ours_finish(tmp_path: Path) -> None:
    drains = """
def finish(*_):
    open(f"{folder}/finished", "w").close()
    sys.exit(143)
signal.signal(signal.SIGTERM, finish)
open(f"{folder}/ready", "w").close()
if starts == 1:
    time.sleep(60)
"""
    meeting = OtherHost()

    def end() -> None:
        while not (tmp_path / "ready").exists():
            pass
        meeting.phases = [Phase.ENDING] * 3

    threading.Thread(target=end).start()
    assert supervisor.supervise("dataflow", child(tmp_path, drains), range(1), meeting, Stop()) == 0
    assert (tmp_path / "finished").exists() and not meeting.ended


def test_a_signal_here_is_told_to_other_hosts(tmp_path: Path) -> None:
    drains = f"""
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
os.kill({os.getpid()}, signal.SIGTERM)
time.sleep(60)
"""
    meeting = OtherHost()
    assert supervisor.supervise("dataflow", child(tmp_path, drains), range(1), meeting, Stop()) == 128 + signal.SIGTERM
    assert meeting.ended == meeting.parted == 1


def test_what_dies_of_another_host_is_no_fault_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_LAST_WORDS_S", 0.2)
    lost = f"sys.exit(0 if starts > 8 else {supervisor.LOST})"
    meeting = OtherHost()

    class Dying(OtherHost):
        def look(self) -> Phase:
            away = any(len(lines) > self.parted for lines in starts(tmp_path))
            return Phase.APART if away and len(starts(tmp_path)[0]) <= 8 else Phase.TOGETHER

    assert supervisor.supervise("dataflow", child(tmp_path, lost), range(1), Dying(), Stop()) == 0
    assert len(starts(tmp_path)[0]) == 9
    with pytest.raises(ConnectionFailed, match=r"died 6 times.*one host may have an older copy of its --state"):
        (tmp_path / "starts-0").unlink()
        supervisor.supervise("dataflow", child(tmp_path, f"sys.exit({supervisor.LOST})"), range(1), meeting, Stop())
