"""Children: clean ends, deaths that are told with the end of the log, and none that outlives its parent."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.child import CLEAN_CODES, ROOT, Child, ChildFailed


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Child]:
    """A command that serves metrics and waits: the replay of a log that never comes would end, this one does not."""
    child = Child("sleeper", ["sleep"], tmp_path)
    child.command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    child.start()
    while "up" not in child.out.read_text():
        time.sleep(0.02)
    yield child
    child.stop(5)


def wait_for_end(child: Child) -> None:
    end_s = time.monotonic() + 20
    while child.code() is None:
        assert time.monotonic() < end_s
        time.sleep(0.05)
    child.stop(1)


def test_a_stopped_child_has_a_clean_code(waiting: Child) -> None:
    waiting.check()
    assert waiting.stop(10) == -signal.SIGTERM
    assert waiting.code() in CLEAN_CODES
    assert waiting.stop(10) == waiting.code(), "stopping again changes nothing"


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    child = Child("deaf", ["deaf"], tmp_path)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    child.command = [sys.executable, "-c", deaf]
    child.start()
    while "up" not in child.out.read_text():
        time.sleep(0.02)
    assert child.stop(0.2) == -signal.SIGKILL
    assert child.code() not in CLEAN_CODES


def test_a_child_that_dies_is_told_by_name_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = Child("fleet", ["no-such-command"], tmp_path)
    child.start()
    wait_for_end(child)
    with pytest.raises(ChildFailed, match=r"fleet ended with exit code 2 after \d+ s; its log is .*fleet.log") as told:
        child.check()
    assert "there is no command 'no-such-command'" in told.value.tail
    assert "no-such-command" in child.last_words()


def test_a_child_that_was_never_started_has_nothing_to_stop(tmp_path: Path) -> None:
    child = Child("never", [], tmp_path)
    child.check()
    assert child.code() is None
    assert child.stop(1) is None
    assert child.last_words() == ""


def test_a_child_that_was_told_to_end_has_not_failed(tmp_path: Path) -> None:
    child = Child("canary", ["metrics"], tmp_path)
    child.start()
    child.stop(20)
    child.check()


def test_the_settings_of_the_parent_are_not_the_childs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODA_SEED", "7")
    child = Child("env", [], tmp_path)
    child.command = [sys.executable, "-c", "import os; print('CODA_SEED' in os.environ)"]
    child.start()
    wait_for_end(child)
    assert child.out.read_text() == "False\n"


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    family = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from streams.child import Child
child = Child("demo", ["--help"], Path({str(tmp_path)!r}))
child.command = [sys.executable, "-c", "import threading, time; from streams import child; threading.Thread("
    "target=child._end_with_parent, daemon=True).start(); print('up', flush=True); time.sleep(60)"]
child.start()
print(child._process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", family], stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        while "up" not in (tmp_path / "demo.out").read_text():
            time.sleep(0.02)
        parent.kill()
    end_s = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < end_s, "the child outlived its parent"
        time.sleep(0.05)
