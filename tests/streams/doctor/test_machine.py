"""What the doctor sees of a machine; the one that runs the tests is well."""

import resource
from pathlib import Path

import pytest

from streams.doctor import machine


def test_the_machine_that_runs_the_tests_can_run_everything() -> None:
    assert {each.name: each.word for each in machine.machine("coda-streaming") if each.word == "fail"} == {}


def test_a_package_of_another_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.doctor.machine.metadata.requires", lambda _: ["polars==0.1", "nothing-such==1.0"])
    found = machine.packages("coda-streaming")
    assert found.word == "warn" and "not 0.1" in found.seen and "nothing-such missing" in found.seen


def test_a_package_that_was_built_without_cuda_is_the_one_that_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.doctor.machine.metadata.requires", lambda _: ["torch==2.15.0"])
    monkeypatch.setattr("streams.doctor.machine.metadata.version", lambda _: "2.15.0+cpu")
    assert machine.packages("coda-streaming").word == "ok"


def test_few_open_files_say_how_to_raise_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    assert (machine.open_files().word, "ulimit -n 8192" in machine.open_files().remedy) == ("warn", True)


def test_a_full_disk_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1e8}))
    assert machine.disk(tmp_path).word == "fail"


@pytest.mark.parametrize(
    ("limit", "taken", "word", "seen"),
    [("2000000000", 1_500_000_000, "fail", "0.7 GB"), ("4000000000", 0, "ok", "4 GB"), ("max", 0, "ok", "64 GB")],
)
def test_a_container_may_have_less_memory_than_its_machine(
    tmp_path: Path, limit: str, taken: int, word: str, seen: str
) -> None:
    (tmp_path / "meminfo").write_text("MemAvailable:   62500000 kB\n")
    for name, said in (("max", limit), ("current", str(taken)), ("stat", "anon 5\ninactive_file 200000000\n")):
        (tmp_path / f"memory.{name}").write_text(f"{said}\n")
    if not taken:
        (tmp_path / "memory.stat").write_text("inactive_file 0\n")
    found = machine.memory(tmp_path / "meminfo", tmp_path)
    assert (found.word, found.seen) == (word, f"{seen} available")
    assert machine.memory(tmp_path / "meminfo", tmp_path / "none").seen == "64 GB available"
