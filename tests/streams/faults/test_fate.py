import random
from itertools import pairwise

import pytest

from streams.faults.fate import Lane, Slice, ends_at
from streams.faults.toxics import (
    Bandwidth,
    CutAfter,
    Down,
    HalfOpen,
    Latency,
    LimitData,
    Loss,
    ResetPeer,
    Slicer,
    Toxic,
)
from streams.faults.units import Share, Size
from streams.times import Duration


def send(toxics: list[Toxic], chunks: list[int], seed: int = 0) -> list[list[Slice]]:
    lane = Lane(random.Random(seed))
    return [list(lane.send(n, toxics, now_s=float(i)).slices) for i, n in enumerate(chunks)]


def test_without_faults_all_passes_at_once() -> None:
    assert send([], [10, 20]) == [[Slice(10, 0.0)], [Slice(20, 1.0)]]


def test_latency_stays_within_its_jitter_and_nothing_overtakes() -> None:
    toxic = Latency(delay=Duration(2), jitter=Duration(1.5))
    lane = Lane(random.Random(1))
    due = [lane.send(1, [toxic], now_s=0.1 * i).slices[0].due_s for i in range(200)]
    assert due == sorted(due)
    assert all(0.49 <= at - 0.1 * i <= 3.51 for i, at in enumerate(due))


def test_bandwidth_makes_chunks_queue() -> None:
    assert send([Bandwidth(rate=Size(100))], [100, 100, 100]) == [
        [Slice(100, 1.0)],
        [Slice(100, 2.0)],
        [Slice(100, 3.0)],
    ]
    assert send([Bandwidth(rate=Size(100))], [300, 100]) == [[Slice(300, 3.0)], [Slice(100, 4.0)]]


def test_slices_add_up_and_are_apart() -> None:
    (slices,) = send([Slicer(size=Size(30), variation=Size(10), delay=Duration(0.5))], [200])
    assert sum(s.nbytes for s in slices) == 200
    assert all(1 <= s.nbytes <= 40 for s in slices)
    assert [s.due_s for s in slices] == [0.5 * i for i in range(len(slices))]


def test_a_limit_lets_so_much_pass_and_cuts() -> None:
    lane, toxic = Lane(random.Random(0)), LimitData(bytes=Size(150))
    assert not lane.send(100, [toxic], 0.0).cut
    fate = lane.send(100, [toxic], 1.0)
    assert (fate.slices, fate.cut) == ((Slice(50, 1.0),), True)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_loss_stalls_about_its_share_and_in_bursts_when_correlated(correlation: float) -> None:
    lane, toxic = Lane(random.Random(3)), Loss(rate=Share(0.1), correlation=Share(correlation))
    late = []
    for i in range(4000):
        (piece,) = lane.send(1, [toxic], 100.0 * i).slices
        late.append(piece.due_s > 100.0 * i)
    pairs = sum(a and b for a, b in pairwise(late))
    assert 0.05 < sum(late) / len(late) < 0.2
    assert (pairs > 0.5 * sum(late)) == (correlation > 0)


def test_the_same_seed_gives_the_same_fates() -> None:
    toxics: list[Toxic] = [Loss(rate=Share(0.3)), Latency(delay=Duration(0.1), jitter=Duration(0.1))]
    assert send(toxics, [10] * 50, seed=4) == send(toxics, [10] * 50, seed=4) != send(toxics, [10] * 50, seed=5)


def test_when_a_connection_ends() -> None:
    rng = random.Random(0)
    assert ends_at(ResetPeer(after=Duration(2)), opened_s=10.0, applied_s=5.0, rng=rng) == 12.0
    assert ends_at(CutAfter(age=Duration(2)), opened_s=1.0, applied_s=5.0, rng=rng) == 7.0
    assert ends_at(HalfOpen(), 1.0, 5.0, rng) is None
    assert ends_at(Down(), 1.0, 5.0, rng) is None
