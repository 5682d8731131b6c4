"""`coda pool`: look at, check and rebuild a pool on disk."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from index.pool import Pool
from index.rebuild import rebuild_on_disk
from index.verify import Verification
from index.verify import stats as pool_stats
from index.verify import verify as verify_pool
from streams.settings import AtLeast1
from streams.terminal import say
from streams.work_view import work_view
from wire.errors import PoolError

MIN_RECALL = 0.95  # below it a check fails: far under what benchmarks/pool.py reaches

Shard = Annotated[Path, Parameter(help="The directory of one pool shard.")]

app = App(name="pool", help="Look at, check and rebuild a pool on disk.")


@app.command
def stats(path: Shard, /, *, json: bool = False) -> None:
    """What a pool holds, also while a flow is writing it.

    Example

    ```
    coda pool stats runs/pool/shard-0-of-1
    ```

    Args:
        json: Print one JSON document instead of lines.
    """
    with Pool.open(path, read_only=True) as pool:
        numbers = pool_stats(pool)
    _print(numbers, json)


@app.command
def verify(path: Shard, /, *, queries: AtLeast1 = 1_000, k: AtLeast1 = 100, seed: int = 0, json: bool = False) -> None:
    """Check a pool: every row readable, graphs like the rows on disk, and recall of the graphs against an exact search.

    Works on a copy in memory, also while a flow is writing the pool. Exits 1 when the check fails.

    Example

    ```
    coda pool verify runs/pool/shard-0-of-1
    ```

    Args:
        queries: How many of its samples to search by.
        k: How many samples of each label to search for.
        seed: Which samples those are.
        json: Print one JSON document instead of lines.
    """
    with Pool.open(path, read_only=True) as pool:
        found = _checked(pool, queries, k, seed)
        _report(pool, found, msgspec.to_builtins(found), json)


@app.command
def rebuild(path: Shard, /, *, json: bool = False) -> None:
    """Copy every row that can be read into a fresh pool, put it in the old one's place, and check it.

    For a pool that is damaged, or that takes more room than its rows need. No flow may have it open.

    Example

    ```
    coda pool rebuild runs/pool/shard-0-of-1
    ```

    Args:
        json: Print one JSON document instead of lines.
    """
    with work_view() as show:
        rebuilt = rebuild_on_disk(path, partial(show, "copying"))
    say(
        f"kept {rebuilt.kept:,} samples, lost {rebuilt.lost:,}; "
        f"{rebuilt.bytes_before / 1e6:,.1f} MB on disk are now {rebuilt.bytes_after / 1e6:,.1f} MB"
    )
    if rebuilt.lost:
        say("to have those again from Kafka, as far as it still has them, delete the flow's --state before it starts")
    with Pool.open(path) as pool:
        found = _checked(pool, queries=1_000, k=100, seed=0)
        _report(pool, found, msgspec.to_builtins(rebuilt) | msgspec.to_builtins(found), json)


def _checked(pool: Pool, queries: int, k: int, seed: int) -> Verification:
    with work_view() as show:
        pool.rebuild(partial(show, "indexing"))
    return verify_pool(pool, queries, k, seed)


def _print(document: Mapping[str, object], json: bool) -> None:
    if json:
        print(msgspec.json.encode(document).decode())
        return
    for name, value in document.items():
        number = f"{value:,.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
        print(f"{name:<20} {number}")


def _report(pool: Pool, found: Verification, document: Mapping[str, object], json: bool) -> None:
    """Print the result of a check; raises `PoolError` when it failed."""
    _print(document, json)
    path = pool.store.path
    if not found.consistent:
        raise PoolError(f"pool {path}: memory and disk differ; this is a bug, please report it")
    if found.recall < MIN_RECALL:
        raise PoolError(f"pool {path}: recall {found.recall:.4f} is under {MIN_RECALL}: raise graph_nodes or links")
