"""What is on disk: keys, the pool's shards, and states, each with its version."""

import re
from contextlib import closing
from pathlib import Path

from index.owner import Owner
from index.pool import Pool
from index.store import FORMAT
from index.verify import stats
from streams.bus import Bus
from streams.doctor.finding import Finding, looked
from streams.flow.shard_states import ShardStates
from streams.flow.state import Checkpoints, damaged, look_at_state, state_name
from streams.flow.state_shards import check_pool, owners
from streams.flow.state_store import StateStore
from streams.home import FILE
from streams.training.published import published_versions
from wire.durable import held
from wire.signing import PRIVATE, PUBLIC, keys_in, load_public_key


def on_disk(keys: Path, pool: Path, state: Path) -> list[Finding]:
    """What these folders hold."""
    return [*looked("keys", lambda: [_keys(keys)]), *_pool(pool, state_name(state)), *_state(state, pool)]


def model(bus: Bus, keys: Path) -> list[Finding]:
    """Which cloud model is the newest on the topic."""
    if not (keys / PUBLIC).is_file():
        return [Finding("model", "warn", f"not looked at: no key in {keys} to verify it with", "give --keys")]
    found = published_versions(bus, load_public_key(keys / PUBLIC))
    if not found:
        return [
            Finding("model", "warn", "none is published yet", "`coda train-cloud --initial-log LOG` makes the first")
        ]
    return [Finding("model", "ok", f"the newest is {found[-1].id}")]


def _keys(folder: Path) -> Finding:
    if not (folder / PUBLIC).is_file():
        return Finding("keys", "warn", f"none in {folder}", "`coda train-cloud` makes them; devices need cloud.pub")
    if (folder / PRIVATE).is_file():
        keys_in(folder)  # where both are there, none is made
    else:
        load_public_key(folder / PUBLIC)
    return Finding("keys", "ok", f"{folder / PUBLIC} is there")


def _pool(folder: Path, state: str) -> list[Finding]:
    shards = sorted(folder.glob("shard-*")) if folder.is_dir() else []
    if not shards:
        return [Finding("pool", "warn", f"none at {folder}", "`coda flow` makes it")]
    return [line for shard in shards for line in looked("pool", lambda at=shard: [_shard(at, state)])]  # type: ignore[misc]


def _shard(path: Path, state: str) -> Finding:
    with Pool.open(path, read_only=True) as pool:
        found, owner = stats(pool), pool.store.owner
    place = re.fullmatch(r"shard-(\d+)-of-(\d+)", path.name)
    if owner and place and (swapped := Owner(int(place[1]), int(place[2]), owner.state).difference(owner)):
        return Finding("pool", "fail", f"{path} {swapped}", "put each folder back where it was")
    if owner and state and owner.state != state:
        remedy = "give those that belong together; a flow whose state has begun refuses another's pool"
        return Finding("pool", "warn", f"{path} was last used with another --state", remedy)
    told = f"format {FORMAT}, {found['samples']} samples, encoded by model {found['model_version']}"
    return Finding("pool", "ok", f"{path}: {told}")


def _state(folder: Path, pool: Path) -> list[Finding]:
    if not (folder / FILE).is_file():
        return [Finding("state", "warn", f"none at {folder}", "`coda flow` makes it")]
    if held(folder):
        return [Finding("state", "ok", f"{folder} is that of a flow that runs: what is in it was not looked at")]
    return looked("state", lambda: _whole(folder, pool))


def _whole(folder: Path, pool: Path) -> list[Finding]:
    saved, there = look_at_state(folder), owners(folder)
    if gone := sorted((saved.users.keys() | saved.items.keys()) - {owner.shard for owner in there.values()}):
        raise damaged(folder, f"the states of shard {gone[0]} are gone")
    found = [Finding("state", "ok", f"{folder} is the state of a flow")]
    for place, owner in there.items():
        found += looked("states", lambda at=place, of=owner: [_states(at, of, saved)])  # type: ignore[misc]
    return found + looked("pool", lambda: _went_with(pool, folder))


def _went_with(pool: Path, state: Path) -> list[Finding]:
    check_pool(pool, state)
    return []


def _states(folder: Path, owner: Owner, saved: Checkpoints) -> Finding:
    with closing(ShardStates.open_to_look(folder, owner)) as states:
        users = _kept(states.users, saved.users.get(owner.shard))
        items = _kept(states.items, saved.items.get(owner.shard))
    return Finding("states", "ok", f"{folder}: {users}, {items}")


def _kept(store: StateStore, checkpoint: int | None) -> str:
    return f"{store.look(checkpoint)} {store.of} as of checkpoint {store.checkpoint}"
