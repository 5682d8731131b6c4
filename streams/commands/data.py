"""`coda data`: real logs by name."""

import shlex
import time
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal

import msgspec
from cyclopts import App

from streams.base.choice import choose, meaning, possible
from streams.base.context import NO_OPTIONS, ContextOptions, telling
from streams.base.names import LOGGED, MODELS
from streams.base.scored import Scoring, score
from streams.evaluation.log import evaluation_log
from streams.logs.check import check_log
from streams.logs.data import (
    NAMED_LOGS,
    as_log,
    find_log,
    get_log,
    get_log_with_negatives,
    log_named,
    log_with_negatives,
    uniform_log,
    write_log,
)
from streams.logs.event_log import EventLog
from streams.logs.negatives import Sampling
from streams.logs.options import AS_FOUND, LogOptions
from streams.logs.slices import INITIAL_SHARE
from streams.settings import AtLeast0, Share, SomeTime
from streams.terminal import say
from streams.times import Duration
from streams.work_view import work_view
from wire.durable import make_folder, told
from wire.errors import InputError

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


@app.command(name="score")
def score_log(
    log: str,
    /,
    *,
    out: Path,
    base: Literal["boosted", "online"] | None = None,
    initial_share: Share = INITIAL_SHARE,
    delay: SomeTime = Duration.parse("5s"),
    negatives: AtLeast0 = 0,
    seed: int = 0,
    options: LogOptions = AS_FOUND,
    context: ContextOptions = NO_OPTIONS,
    json: bool = False,
) -> None:
    """Write a log with what a strong global model expected of each event just before: its column `base`.

    Personal models add to that, live as in `coda evaluate`, whose own bases are the same with --devices all. Of the
    initial part it says what models expect that learned from what came before, and of its first events nothing.

    Example

    ```
    coda data score groceries --out scored.parquet
    coda data score events.csv --positive addtocart,transaction --negatives 2 --out scored.parquet
    ```

    Args:
        log: A file, or a name from `coda data list`.
        out: The Parquet file to write.
        base: The model: `boosted` trees on streamed features, trained on the initial part and again as the log goes on,
            or else, the default where that part is too short for trees, a regression on the same that learns as it
            goes (`online`).
        initial_share: The share of the log, by time, that the model learns from first.
        delay: How old what everybody did is at least when the model knows it.
        negatives: Sampled negatives per positive, for a log that has positives only.
        seed: Seed of the sampling and of the trees.
        json: Print one JSON document instead of the path.
    """
    _require_new(out)
    check, events, sampled = evaluation_log(
        EventLog(find_log(log), options), Sampling(negatives, seed) if negatives else None
    )
    known = context.names(events)
    for line in (*check.lines(), *(sampled.lines() if sampled else ()), *telling(events, known)):
        say(line)
    there = possible(events, initial_share)
    if there[LOGGED] and base is None:
        raise InputError(
            f"{log} has bases, and `coda evaluate` and `coda demo` take them: give --base boosted to put others in "
            "their place"
        )
    chosen, began_s = choose(base, MODELS, there), time.process_time()
    scoring = Scoring(initial_share=initial_share, delay_ms=delay.ms, context=known, seed=seed)
    with work_view() as show:
        scored = score(events, chosen, scoring, show)
    each_us = 1e6 * (time.process_time() - began_s) / len(events)
    write_log(as_log(scored), out)
    unsaid = scored["base"].null_count()
    say(f"base: {meaning(chosen, base)}; {each_us:.0f} µs of a core an event, training and all")
    if unsaid:
        say(f"{len(scored):,} events; the first {unsaid:,} have no base, as trees had too little before them")
    named = shlex.quote(str(out))
    say(f"next: coda evaluate {named}, or live: coda demo --log {named}")
    _print_path(log, out, json=json)


def _require_new(out: Path) -> None:
    """Raise `InputError` or `StorageError` unless a log can be written there: after the work it is too late."""
    if out.suffix != ".parquet":
        raise InputError(f"--out {out} would be a Parquet file: call it {out.with_suffix('.parquet')}")
    if out.exists():
        raise InputError(f"{out} is there already: give another --out")
    make_folder(out.parent)
    with told(out), NamedTemporaryFile(dir=out.parent):
        pass


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
