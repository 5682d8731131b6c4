"""What is on disk: keys, the pool's shards, and states, each with its version."""

from pathlib import Path

from index.pool import Pool
from index.store import FORMAT
from index.verify import stats
from streams.bus import Bus
from streams.doctor.finding import Finding, looked
from streams.home import FILE
from streams.training.published import published_versions
from wire.signing import PUBLIC, load_public_key


def on_disk(keys: Path, pool: Path, state: Path) -> list[Finding]:
    """What these folders hold."""
    return [_keys(keys), *_pool(pool), _state(state)]


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
    if (folder / PUBLIC).is_file():
        return Finding("keys", "ok", f"{folder / PUBLIC} is there")
    return Finding("keys", "warn", f"none in {folder}", "`coda train-cloud` makes them; devices need cloud.pub")


def _pool(folder: Path) -> list[Finding]:
    shards = sorted(folder.glob("shard-*")) if folder.is_dir() else []
    if not shards:
        return [Finding("pool", "warn", f"none at {folder}", "`coda flow` makes it")]
    return [line for shard in shards for line in looked("pool", lambda at=shard: [_shard(at)])]  # type: ignore[misc]


def _shard(path: Path) -> Finding:
    with Pool.open(path, read_only=True) as pool:
        found = stats(pool)
    told = f"format {FORMAT}, {found['samples']} samples, encoded by model {found['model_version']}"
    return Finding("pool", "ok", f"{path}: {told}")


def _state(folder: Path) -> Finding:
    if (folder / FILE).is_file():
        return Finding("state", "ok", f"{folder} is the state of a flow")
    return Finding("state", "warn", f"none at {folder}", "`coda flow` makes it")
