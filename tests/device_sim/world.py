"""Small worlds for device tests: models, events and batches from seeds."""

from pathlib import Path
from typing import Literal

import numpy as np

from device_sim.fleet import Fleet
from device_sim.state import FleetState
from device_sim.stimulus import OwnEvent
from models.cloud_model import CloudModel, random_model
from monitor.metrics import Metrics
from wire.batch import encode_batch
from wire.candidates import CandidateBatch, Candidates
from wire.event import Event
from wire.identity import ModelId
from wire.ids import item_keys
from wire.task import Task

ITEMS, CATEGORIES = [f"i{n}" for n in range(40)], [f"c{n}" for n in range(4)]
TASK = Task(task_version=1, min_samples=6, retrain_every=4, classifier_steps=6)
USERS = 3  # of `mixed`


def cloud_model(version: int = 1) -> CloudModel:
    return random_model(item_keys(ITEMS), item_keys(CATEGORIES), seed=version, version=version)


def event(user_id: str, n: int, label: int | None = None, timestamp: int | None = None) -> Event:
    """The n-th event of a user, a second after the one before."""
    one_or_zero: Literal[0, 1] = 1 if (n % 3 == 0 if label is None else label) else 0
    at = 1_000_000 + 1000 * n if timestamp is None else timestamp
    return Event(f"{user_id}-{n}", user_id, ITEMS[7 * n % 40], CATEGORIES[n % 4], "view", one_or_zero, at)


def own(user_id: str, first: int, count: int) -> list[OwnEvent]:
    return [OwnEvent(event(user_id, n), 0) for n in range(first, first + count)]


def candidates(n: int, seed: int) -> Candidates:
    rng = np.random.default_rng(seed)
    return Candidates(
        rng.normal(-1, 0.5, n).astype(np.float16),
        item_keys([ITEMS[i] for i in rng.integers(0, 40, n)]),
        item_keys([CATEGORIES[i] for i in rng.integers(0, 4, n)]),
        np.arange(n, dtype=np.uint8) % 2,
        rng.integers(0, 3, n).astype(np.uint8),
        np.zeros(n, np.uint32),
    )


def batch(user_id: str, seq: int, *, version: int = 1, matched: int = 16, random: int = 16) -> CandidateBatch:
    return CandidateBatch(
        user_id,
        seq,
        ModelId("", version),
        query_timestamp=1_000_000,
        produced_ms=5_000,
        matched_ms=5_100,
        matched=candidates(matched, seq),
        similarity=np.linspace(0.9, 0.6, matched).astype(np.float16),
        random=candidates(random, seq + 1000),
    )


def raw_batch(user_id: str, seq: int, *, version: int = 1) -> bytes:
    return encode_batch(batch(user_id, seq, version=version))


def fleet(users: int = 0, *, task: Task = TASK, uploads: bool = False, metrics: Metrics | None = None) -> Fleet:
    """A fleet with a model, a task and `users` connected devices."""
    made = Fleet(metrics or Metrics(), uploads=uploads, seed=3)
    made.deliver_model(cloud_model(), 1000, 0)
    made.deliver_task(task, 100, 0)
    for n in range(users):
        made.connected(f"u{n}", 0)
    return made


def saved(made: Fleet, folder: Path) -> FleetState:
    """The fleet's state, written into `folder`."""
    state = FleetState(folder)
    state.note(made, {}, {})
    state.write()
    return state


def resumed(made: Fleet, folder: Path) -> Fleet:
    """The fleet after a rest in `folder`."""
    back = saved(made, folder).resume(Metrics(), uploads=made.uploads, seed=made.seed, now_ms=0)
    assert back is not None
    return back.fleet


def cpu_s() -> float:
    return 0.0


def mixed(first: int, count: int) -> list[OwnEvent]:
    """Events of all users in turn."""
    return [one for n in range(first, first + count) for user in range(USERS) for one in own(f"u{user}", n, 1)]
