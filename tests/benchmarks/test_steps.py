from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.steps import LIVES, Runbook, expiration, read_runbook, runbook_of, sliding_window
from wire.errors import InputError

REPLACED = """
msturing-1K:
  1: {operation: insert, start: 0, end: 600}
  2: {operation: search}
  3: {operation: replace, tags_start: 100, tags_end: 200, ids_start: 600, ids_end: 700}
  4: {operation: replace, tags_start: 150, tags_end: 160, ids_start: 700, ids_end: 710}
  5: {operation: delete, start: 0, end: 180}
  6: {operation: search}
  max_pts: 600
  gt_url: https://example.org/msturing-1K/runbook.yaml
"""


def live_at_searches(runbook: Runbook) -> list[set[int]]:
    live: set[int] = set()
    seen = []
    for step in runbook.steps:
        live = (live - set(step.deleted.tolist())) | set(step.inserted.tolist())
        if step.search:
            seen.append(live)
    return seen


def test_a_file_is_read_as_it_is_and_tags_stand_for_the_vectors_put_there_last(tmp_path: Path) -> None:
    path = tmp_path / "runbook.yaml"
    path.write_text(REPLACED)
    runbook = read_runbook(path)
    assert (runbook.name, len(runbook.steps), runbook.vectors, runbook.most) == ("msturing-1K", 6, 710, 600)
    first, last = live_at_searches(runbook)
    assert first == set(range(600))
    assert last == {*range(180, 600)} - {*range(180, 200)} | {*range(680, 700)}
    assert runbook.came()[[0, 650, 705]].tolist() == [1, 3, 4]
    assert runbook.left()[[0, 100, 655, 650, 705, 690, 500]].tolist() == [5, 3, 4, 4, 5, 0, 0]


def test_one_data_set_of_several_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "runbook.yaml"
    path.write_text(REPLACED + REPLACED.replace("msturing-1K", "sift"))
    assert read_runbook(path, "sift").name == "sift"
    with pytest.raises(InputError, match=r"--dataset msturing-1K \| sift"):
        read_runbook(path)
    with pytest.raises(InputError, match="no steps of glove"):
        read_runbook(path, "glove")


def insert(start: Any, end: Any) -> dict[str, Any]:
    return {"operation": "insert", "start": start, "end": end}


SEARCH = {"operation": "search"}


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({1: {"operation": "startHPC"}, 2: SEARCH}, "step 1 of x is 'startHPC': only insert, delete, replace, search"),
        ({1: insert(0, 9), 3: SEARCH}, "gaps"),
        ({1: insert(0, 9), "2": SEARCH}, "'2' among its steps"),
        ({1: insert(0, 9), 2: SEARCH, "write_ratio": 0.5}, "'write_ratio' among its steps"),
        ({1: insert(0, 9) | {"batchSize": 3}, 2: SEARCH}, "batchSize"),
        ({1: insert(9, 9), 2: SEARCH}, "ranges"),
        ({1: insert(0, "9"), 2: SEARCH}, "whole numbers"),
        ({1: insert(0, 9), 2: insert(8, 12), 3: SEARCH}, "step 2 of x inserts 8 again"),
        ({1: insert(0, 9), 2: {"operation": "delete", "start": 5, "end": 12}, 3: SEARCH}, "deletes or replaces 9,"),
        ({1: insert(0, 9)}, "never searches"),
        ({}, "nothing to measure"),
    ],
)
def test_what_is_not_known_is_refused_in_one_line(entries: dict[Any, Any], why: str) -> None:
    with pytest.raises(InputError, match=why) as refused:
        runbook_of("x", entries)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", [None, "", "7", "a: [1", "a: 7"])
def test_a_file_that_is_no_runbook_is_refused_in_one_line(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "runbook.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as refused:
        read_runbook(path)
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)


def test_a_sliding_window_holds_the_newest() -> None:
    runbook = sliding_window(1000, 20)
    assert (runbook.vectors, runbook.most) == (2000, 1000)
    assert live_at_searches(runbook) == [{*range(start, start + 1000)} for start in range(0, 1001, 100)]


def test_expiration_leaves_out_of_order_after_the_lives_that_were_drawn() -> None:
    batches = 190
    runbook = expiration(19_000, batches, seed=1)
    size, searches = runbook.vectors // batches, live_at_searches(runbook)
    assert len(searches) == batches and abs(len(searches[-1]) - 19_000) < 3_000
    lives = [sum(batch * size in live for live in searches[batch:]) for batch in range(batches)]
    early = np.array(lives[: batches // 2])  # the others are cut off by the end
    assert set(early) == {batches // 5, batches // 2, *(batches - np.flatnonzero(early > batches // 2))}
    assert (early == batches // 5).mean() == pytest.approx(15 / LIVES, abs=0.1)
    left = runbook.left()[::size]
    assert (np.diff(left[left > 0]) < 0).any(), "who comes later leaves earlier"
