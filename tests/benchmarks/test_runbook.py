from pathlib import Path

import numpy as np
import pytest

from benchmarks.engines import ARMS, NONE, Arm
from benchmarks.runbook import K, least_scores, measure, play, read_vectors, recall_of
from benchmarks.steps import Runbook, expiration, runbook_of, sliding_window
from tests.index.samples import random_keys
from wire.arrays import F32, I64
from wire.errors import InputError

QUERIES = random_keys(64, seed=2)


def replaced() -> Runbook:
    """Where nothing comes between a deletion and a search, and what comes stays under another's tag."""
    return runbook_of(
        "replaced",
        {
            1: {"operation": "insert", "start": 0, "end": 600},
            2: {"operation": "search"},
            3: {"operation": "delete", "start": 100, "end": 300},
            4: {"operation": "search"},
            5: {"operation": "replace", "tags_start": 0, "tags_end": 50, "ids_start": 600, "ids_end": 650},
            6: {"operation": "search"},
        },
    )


@pytest.mark.parametrize("runbook", [sliding_window(400, 8), expiration(600, 20, seed=0), replaced()])
def test_the_pool_finds_what_is_there_at_each_search_and_nothing_that_has_left(
    runbook: Runbook, tmp_path: Path
) -> None:
    vectors = random_keys(runbook.vectors, seed=1)
    engine = ARMS["pool"].start(runbook, vectors, tmp_path)
    played = play(engine, runbook, vectors, QUERIES, least_scores(runbook, vectors, QUERIES))
    assert played.upserts == runbook.vectors
    assert played.recall == [1.0] * sum(step.search for step in runbook.steps)


@pytest.mark.parametrize("name", [name for name, arm in ARMS.items() if arm.installed and name != "pool"])
def test_every_engine_that_is_installed_reaches_the_target(name: str) -> None:
    runbook = expiration(600, 20, seed=0)
    figures = measure(runbook, random_keys(runbook.vectors, seed=1), QUERIES, {name: ARMS[name]})[name]
    assert figures["least_recall"] >= 0.99
    assert figures["upserts_per_core_s"] > 0 and figures["bytes_per_vector"] > 32


def test_what_has_left_or_is_found_twice_counts_for_nothing() -> None:
    vectors = random_keys(2 * K, seed=1)
    live = np.arange(len(vectors)) < K + 50
    scores = QUERIES @ vectors[live].T
    best = np.argsort(-scores, axis=1)[:, :K]
    least = np.take_along_axis(scores, best, axis=1)[:, -1]

    def recall(found: I64) -> float:
        return recall_of(found, least, live, vectors, QUERIES)

    half = K // 2
    assert recall(best) == 1
    assert recall(np.concatenate([best[:, :half], best[:, :half]], axis=1)) == 0.5
    assert recall(np.where(np.arange(K) < half, best, NONE)) == 0.5
    assert recall(np.where(np.arange(K) < half, best, 2 * K - 1)) == 0.5


def test_a_package_that_is_missing_is_known_before_anything_is_measured() -> None:
    assert not Arm(None, {}, "a_package_that_nobody_has").installed


def fbin(path: Path, vectors: F32) -> Path:
    path.write_bytes(np.array(vectors.shape, np.uint32).tobytes() + vectors.tobytes())
    return path


def test_vectors_of_a_file_have_length_1(tmp_path: Path) -> None:
    vectors = random_keys(20, seed=1)
    path = fbin(tmp_path / "base.fbin", 3 * vectors)
    np.testing.assert_allclose(read_vectors(path, 7), vectors[:7], rtol=1e-6)
    with pytest.raises(InputError, match="has 20 vectors, 21 are needed"):
        read_vectors(path, 21)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"no \.fbin file: its size"):
        read_vectors(path, 7)
