"""`coda data`: real logs by name."""

from pathlib import Path

import msgspec
from cyclopts import App

from streams.logs.check import check_log
from streams.logs.data import (
    NAMED_LOGS,
    find_log,
    get_log,
    get_log_with_negatives,
    log_named,
    log_with_negatives,
    uniform_log,
)
from streams.logs.event_log import EventLog
from streams.logs.negatives import Sampling
from streams.logs.options import AS_FOUND, LogOptions
from streams.settings import AtLeast0
from streams.terminal import say

app = App(name="data", help="Event logs: list and get real ones by name, check and convert your own.")


@app.command(name="list")
def list_logs(*, json: bool = False) -> None:
    """Which logs there are, and which of them are already here.

    Example

    ```
    coda data list
    ```

    Args:
        json: Print one JSON document instead of lines.
    """
    if json:
        print(msgspec.json.encode([_described(name) for name in NAMED_LOGS]).decode())
        return
    for name, source in NAMED_LOGS.items():
        print(f"{name:<16} {source.about}  [{source.path if source.path.is_file() else 'not fetched'}]")


@app.command
def get(
    name: str,
    /,
    *,
    negatives: AtLeast0 = 0,
    seed: int = 0,
    options: LogOptions = AS_FOUND,
    json: bool = False,
) -> None:
    """Fetch a log into the cache folder, or bring one of your own into the form that commands read; print where it is.

    The terms of a log are printed the first time.

    Example

    ```
    coda data get ml-100k
    coda data get completejourney --negatives 4
    coda data get events.csv --positive addtocart,transaction --negatives 2
    ```

    Args:
        name: One of those that `coda data list` shows, or a file.
        negatives: Sampled negatives per positive, of what others took soon after; 0 leaves the log as it is.
        seed: Seed of the sampling; the same seed gives the same log.
        json: Print one JSON document instead of the path.
    """
    if name not in NAMED_LOGS and Path(name).exists():
        path = uniform_log(find_log(name), options, say)
        path = log_with_negatives(path, Sampling(negatives, seed), say) if negatives else path
        _print_path(name, path, json=json)
        return
    source = log_named(name)
    path = get_log_with_negatives(source, Sampling(negatives, seed), say) if negatives else get_log(source, say)
    _print_path(name, path, json=json)


@app.command
def check(
    log: str,
    /,
    *,
    options: LogOptions = AS_FOUND,
    json: bool = False,
) -> int:
    """Say what a log holds, what was taken for what, what is rejected and why, and whether it is large enough.

    Exit code 2 when no event can be read, or none is what --positive says.

    Example

    ```
    coda data check events.csv --positive addtocart,transaction
    ```

    Args:
        log: A file, or a name from `coda data list`.
        json: Print one JSON document instead of lines.
    """
    found = check_log(EventLog(find_log(log), options))
    if json:
        print(msgspec.json.encode(found.as_dict()).decode())
    else:
        for line in found.lines():
            print(line)
    return 0 if found.events and (found.positives or not found.unmatched) else 2


def _print_path(name: str, path: Path, *, json: bool) -> None:
    print(msgspec.json.encode({"name": name, "path": str(path)}).decode() if json else str(path))


def _described(name: str) -> dict[str, object]:
    source = NAMED_LOGS[name]
    return {
        "name": name,
        "about": source.about,
        "terms": source.terms,
        "package": source.package.requirement,
        "positives_only": source.positives_only,
        "path": str(source.path) if source.path.is_file() else None,
    }
