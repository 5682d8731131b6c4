"""How rows move: ring, growing segment, sealed, flat, gone."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from index.memory import Memory
from index.window import Floor
from tests.index.pools import small
from tests.index.samples import samples


def filled(n: int, timestamps: list[int] | None = None) -> Memory:
    memory = Memory(small(segment_rows=10))
    memory.append(samples(timestamps or range(n)))
    memory.index(n)
    return memory


def layout(memory: Memory) -> list[tuple[int, int, int, bool]]:
    return [(s.start, s.stop, s.live, s.flat) for s in memory.segments]


def test_segments_fill_up_and_the_last_one_grows() -> None:
    memory = filled(24)
    assert layout(memory) == [(0, 10, 10, False), (10, 20, 10, False), (20, 24, 4, False)]
    memory.append(samples(range(24, 34), keys=range(25, 35)))
    memory.index(3)
    assert layout(memory)[-1] == (20, 27, 7, False) and memory.ring == 7


def test_a_segment_goes_flat_and_then_altogether() -> None:
    memory = filled(24)
    assert memory.expire(Floor(4, 2**64 - 1)) == 5 and layout(memory)[0] == (0, 10, 5, False)
    assert memory.expire(Floor(5, 2**64 - 1)) == 1 and layout(memory)[0] == (0, 10, 4, True)
    assert memory.in_graphs() == 14
    assert memory.expire(Floor(9, 2**64 - 1)) == 4 and layout(memory)[0] == (10, 20, 10, False)
    assert memory.live == 14 and memory.table.first == 10
    assert memory.has(np.array([1, 10, 11, 24], np.uint64)).tolist() == [False, False, True, True]


def test_remains_of_many_flat_segments_are_gathered_into_a_new_graph() -> None:
    """A stream far out of order leaves a few live rows in every segment."""
    memory = filled(40, [1 if row % 10 < 7 else 100 + row for row in range(40)])
    window = memory.table.sample[memory.window()].tolist()
    memory.expire(Floor(50, 0))
    assert memory.segments == [] and memory.live == 12 == memory.ring
    samples_now = memory.table.sample[memory.table.at(memory.window())].tolist()
    assert samples_now == window[-12:]
    assert memory.has(np.array(samples_now, np.uint64)).all() and not memory.has(np.array([1], np.uint64)).any()
    memory.index(12)
    assert layout(memory) == [(40, 50, 10, False), (50, 52, 2, False)]


def test_nothing_is_left_to_compile_when_the_first_question_comes(tmp_path: Path) -> None:
    """In a process of its own, as this one has asked before."""
    code = """
import sys
import numpy as np
from index import codes, hash_sampling, products, sight, table
from index.pool import Pool
from index.spec import PoolSpec
from index.window import Floor
from tests.index.samples import KEY_DIM, askers, random_keys, samples

loops = [sight.ranks, sight._of_nodes, sight._around, codes._coded, table._up_to, hash_sampling._merged]
loops.append(products.pass_over(KEY_DIM))
codes.MANY = 0
with Pool.open(sys.argv[1], PoolSpec(key_dim=KEY_DIM)) as pool:
    ready = [len(loop.signatures) for loop in loops]
    pool.upsert(samples(range(100, 140)))
    pool.memory.expire(Floor(120, 0))
    pool.search(random_keys(2, 1), askers(1, 2), np.array([500, 500]), 3)
    pool.sample_random(askers(1, 2), np.array([500, 500]), 3, seed=0)
    pool.search_exactly(random_keys(2, 1), askers(1, 2), np.array([500, 500]), 3)
    assert ready == [len(loop.signatures) for loop in loops] == 7 * [1], ready
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=120)
