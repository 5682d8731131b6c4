"""A stream of events for shards, and what comes of it, for tests."""

from pathlib import Path

import numpy as np

from index.pool import Pool
from index.spec import PoolSpec
from models.cloud_model import CloudModel, random_model
from operators.decode import Arrival
from operators.gather import GatherState, Merge
from operators.shard import (
    Matching,
    Shard,
    ShardOutput,
    route,
)
from operators.user import MatchRules, UserOutput, UserState
from wire.candidates import CandidateBatch
from wire.moments import EventMs, SteadyMs, WallMs

RULES = MatchRules(match_every=5)
NOW_MS, STEADY_MS = WallMs(1_000_000), SteadyMs(7)
MINUTE_MS = 60_000
KEYS = np.arange(1, 40, dtype=np.uint32)


def model(version: int = 1) -> CloudModel:
    return random_model(KEYS, KEYS, seed=version, version=version)


def outputs(events: int, users: int = 7, seed: int = 0) -> list[tuple[str, UserOutput]]:
    """What the user step gives for `events` random events, one at a time.

    Labels alternate per user, so that no two samples of one label have the same history but the users' first:
    among samples that are exactly as similar, which one wins is nobody's promise.
    """
    rng = np.random.default_rng(seed)
    states: dict[str, UserState] = {}
    found = []
    for n in range(events):
        name = f"user-{rng.integers(users)}"
        state, item = states.setdefault(name, UserState(name)), int(rng.integers(1, 40))
        label = (len(state.seen) + 1) % 2
        arrival = Arrival(
            user_id=name,
            sample=n + 1,
            item=item,
            category=item % 5 + 1,
            label=label,
            timestamp=EventMs((n + 1) * MINUTE_MS),
            produced_ms=WallMs(NOW_MS + n),
            raw=b"",
            partition=0,
            offset=n,
        )
        found.append((name, state.handle([arrival], RULES, NOW_MS)))
    return found


def matching(shards: int = 1, random: bool = True) -> Matching:
    return Matching(shards, per_label=4, random=random, seed=0)


def run(
    folder: Path, stream: list[tuple[str, UserOutput]], shards: int = 1, random: bool = True
) -> tuple[list[CandidateBatch], list[ShardOutput]]:
    """All batches that come of a stream, piece by piece, and what the shards gave."""
    found, given = [], []
    pools = [Pool.open(folder / str(n), PoolSpec()) for n in range(shards)]
    workers = [Shard(pool, n, matching(shards, random)) for n, pool in enumerate(pools)]
    states: dict[str, GatherState] = {}
    for piece in stream:
        for _, work in route([piece], shards):
            output = workers[work.shard].handle([work], model(), STEADY_MS)
            given.append(output)
            for reply in output.replies:
                state = states.setdefault(reply.user_id, GatherState())
                found += [batch.unpacked() for _, batch in state.handle([reply], Merge(shards, 4), NOW_MS, 0).batches]
    for pool in pools:
        pool.close()
    return found, given


def contents(batch: CandidateBatch) -> tuple[object, ...]:
    matched, random = batch.matched, batch.random
    rows = [sorted(zip(c.item.tolist(), c.label.tolist(), c.age_s.tolist(), strict=True)) for c in (matched, random)]
    return batch.user_id, batch.query_timestamp, *rows
