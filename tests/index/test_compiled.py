"""Compiled loops do what they say, whatever becomes of what was kept of them."""

import errno
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.compiled import compiled

LOOP = "def loop(numbers):\n    return numbers[0] + {}\n"


def total(numbers: Any) -> float:
    found = 0.0
    for number in numbers:
        found += number
    return found


def loop_of(source: Path) -> Any:
    """The compiled loop of a file, as another process would find it."""
    spec = importlib.util.spec_from_file_location("loops", source)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return compiled(module.loop)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "loops.py"
    path.write_text(LOOP.format(1))
    return path


def hits(source: Path) -> int:
    """How often what was kept is used."""
    loop = loop_of(source)
    assert loop(np.ones(1)) == 2
    return sum(loop.stats.cache_hits.values())


def kept(source: Path, kind: str) -> list[Path]:
    return sorted((source.parent / "__pycache__").glob(f"*.{kind}"))


def test_a_loop_is_the_same_compiled() -> None:
    assert compiled(total)(np.arange(10.0)) == total(np.arange(10.0)) == 45
    assert compiled(total, reorders=True)(np.arange(10.0)) == 45


def test_what_was_compiled_is_kept(source: Path) -> None:
    assert [hits(source), hits(source)] == [0, 1]


def test_where_there_is_no_place_to_keep_it_it_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(loop: object) -> None:
        raise RuntimeError(f"cannot cache function {loop}: no locator available")

    monkeypatch.setattr("index.compiled.Kept", nowhere)
    assert compiled(total)(np.arange(10.0)) == 45


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("tear", [lambda raw: raw[:0], lambda raw: raw[: len(raw) // 2], lambda raw: bytes(len(raw))])
def test_torn_files_are_made_anew(source: Path, kind: str, tear: Callable[[bytes], bytes]) -> None:
    hits(source)
    for path in kept(source, kind):
        path.write_bytes(tear(path.read_bytes()))
    assert [hits(source), hits(source)] == [0, 1]


def test_a_full_disk_costs_time_and_nothing_else(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._save_data", full)
    assert [hits(source), hits(source)] == [0, 0]


def test_code_of_another_source_is_never_taken_for_it(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where whoever compiled it was killed between noting where it will be and writing it."""
    hits(source)
    source.write_text(LOOP.format(41))
    with monkeypatch.context() as killed:
        killed.setattr("numba.core.caching.IndexDataCacheFile._save_data", lambda *_: None)
        assert loop_of(source)(np.ones(1)) == 42
    assert loop_of(source)(np.ones(1)) == 42


def test_nor_code_of_another_numba(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hits(source)
    monkeypatch.setattr("numba.__version__", "0")
    assert hits(source) == 0 and len(kept(source, "nbc")) == 2
