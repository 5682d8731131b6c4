"""`coda evaluate`: the arms compared on a log, without a broker."""

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
import polars as pl
import torch

from index.pool import Pool
from index.spec import PoolSpec
from operators.user import MatchRules
from streams.evaluation.log import evaluation_log
from streams.evaluation.paired import ArmFigures, Pair
from streams.evaluation.report import evaluation_report, figure
from streams.evaluation.result import Result, all_arms, result_of
from streams.evaluation.walk import Outcome, Plan, evaluate
from streams.logs.check import USERS_NEEDED, too_few
from streams.logs.data import find_log
from streams.logs.negatives import NEAREST, Sampling
from streams.logs.options import AS_FOUND, LogOptions
from streams.run_folder import environment, new_run_folder, write_json
from streams.stop import Stop, Stopped
from streams.times import parse_duration_ms
from streams.training.view import training_view
from wire.durable import write_durably, write_frame
from wire.errors import InputError
from wire.task import Task

RESULT, REPORT, PREDICTIONS, RUN = "result.json", "report.html", "predictions.parquet", "run.json"
_MATCH_EVERY = 2  # retrainings between matches, as the live defaults have it: 20 samples and 10
_MS_PER_H = 3_600_000


def command(
    log: str,
    *,
    devices: int = 800,
    seed: int = 0,
    head: float = 0.6,
    retrain_every: int = 10,
    window: int = 1024,
    candidates: int = 1600,
    min_users: int = 5,
    pool_hours: float = 720,
    negatives: int = 0,
    negatives_window: int = NEAREST,
    refresh: str = "24h",
    base: Literal["stale", "refreshed", "both"] = "stale",
    delay: str = "5s",
    options: LogOptions = AS_FOUND,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Compare the arms on a log by test-then-train, with the live system's own parts and without any broker.

    The head of the log trains the first cloud model and fills the pool. The rest is walked in event time: every arm
    predicts each event of the chosen users before anything learns from it. The run folder gets the result as JSON,
    a report, and all predictions.

    ```
    coda evaluate ml-100k --devices 943 --seed 0
    ```

    Args:
        log: A file, or a name from `coda data list`.
        devices: How many of the users after the head get a device, chosen by the seed; 0 takes all.
        seed: Of everything that is drawn at random.
        head: The share of the log, by time, that the first cloud model learns from.
        retrain_every: Own samples between two retrainings of a device; it is matched after twice as many.
        window: How many of its newest samples a device keeps.
        candidates: Matched samples in a batch, half of them of each label; the random arm gets as many.
        min_users: A sample enters the pool once so many users took its item; 1 lets all in at once.
        pool_hours: How old, in event time, a sample of the pool may get.
        negatives: Sampled negatives per positive, for a log that has positives only; its rows of label 0 are left out.
        negatives_window: How many positives on either side of a positive its negatives are drawn from.
        refresh: Event time between cloud model versions for `cloud-refreshed`, such as 24h; 0h makes none.
        base: Which cloud model devices have: the first one, each new one, or one run of either.
        delay: Event time until what happens is pooled, matched and trained on, such as 5s; 24h for nightly jobs.
        out: The run folder; by default `runs/<timestamp>`.
        json: Print the result as JSON on standard output.
    """
    refresh_ms, delay_ms = parse_duration_ms(refresh), parse_duration_ms(delay)
    bases = _bases(base, refresh_ms)
    sampling = Sampling(negatives, negatives_window, seed) if negatives else None
    if candidates < 2 or devices < 0 or retrain_every < 1 or window < 1 or min_users < 1:
        raise InputError("--candidates must be at least 2, --retrain-every, --window and --min-users 1, --devices 0")
    if not delay_ms:
        raise InputError("--delay is 0: nothing is learned in the moment it happens; the live system takes about 5s")
    spec = PoolSpec(window_age_ms=int(pool_hours * _MS_PER_H)).checked()
    plan = Plan(
        devices=devices,
        head=head,
        refresh_ms=refresh_ms,
        delay_ms=delay_ms,
        seed=seed,
        per_label=candidates // 2,
        min_users=min_users,
        rules=MatchRules(match_every=_MATCH_EVERY * retrain_every),
        task=Task(task_version=1, window_count=window, retrain_every=retrain_every),
    )
    torch.set_num_threads(1)
    events = evaluation_log(find_log(log), sampling, options)
    folder = new_run_folder(out, datetime.now())
    plans = {name: replace(plan, refreshed=name == "refreshed") for name in bases}
    stop = Stop()  # asked between two steps: an exception out of nowhere can abort torch, or be lost in it
    try:
        with stop.listening():
            walk = partial(_walked, events, spec=spec, stop=stop)
            outcomes = {name: walk(f"{log}, {name} cloud model", plan=each) for name, each in plans.items()}
    except Stopped:
        return stop.exit_code
    settings: dict[str, str | int | float] = {
        "head": head,
        "retrain_every": retrain_every,
        "window": window,
        "candidates": candidates,
        "min_users": min_users,
        "pool_hours": pool_hours,
        "negatives": negatives,
        "negatives_window": negatives_window,
        "refresh": refresh,
        "base": base,
        "delay": delay,
        "columns": " ".join(options.flags()),
    }
    result = result_of(log, len(events), outcomes, plan, settings)
    write_json(folder / RESULT, result)
    write_json(folder / RUN, {"settings": settings, "environment": environment()})
    write_frame(folder / PREDICTIONS, all_arms(outcomes))
    write_durably(folder / REPORT, evaluation_report(result, outcomes).encode())
    if json:
        print(msgspec.json.encode(result).decode())  # noqa: T201
    for line in closing_lines(result, folder):
        print(line, file=sys.stderr)  # noqa: T201
    return 0


def _walked(events: pl.DataFrame, what: str, *, plan: Plan, spec: PoolSpec, stop: Stop) -> Outcome:
    """One walk on a pool of its own, with a progress bar; raises `Stopped`."""
    with (
        training_view(what) as show,
        tempfile.TemporaryDirectory(prefix="coda-pool-") as place,
        Pool.open(Path(place) / "pool", spec) as pool,
    ):

        def progress(done: int, total: int) -> None:
            stop.check()
            show(done, total)

        return evaluate(events, pool, plan, progress)


def _bases(base: str, refresh_ms: int) -> tuple[str, ...]:
    if base != "stale" and not refresh_ms:
        raise InputError("--refresh is 0, so there is no refreshed cloud model: give an interval, or --base stale")
    return ("stale", "refreshed") if base == "both" else (base,)


def closing_lines(result: Result, folder: Path) -> list[str]:
    """What a person should know when it is over."""
    of = f"{result.predicted:,} events predicted on {result.devices:,} devices"
    figures = [*arm_lines(result.arms), *pair_lines(result.paired)]
    told = figures if result.users >= USERS_NEEDED else [too_few(result.users)]
    return [of, *told, f"the report: {folder / REPORT}"]


def arm_lines(arms: Mapping[str, ArmFigures]) -> list[str]:
    """Each arm's figures."""
    return [
        f"{arm:<18} GAUC {figure(f.gauc)}  AUC {figure(f.auc)}  log-loss {f.logloss:.4f}" for arm, f in arms.items()
    ]


def pair_lines(paired: Mapping[str, Pair]) -> list[str]:
    """Each difference between two arms."""
    return [
        f"{name:<34} GAUC {p.gauc:+.4f} [{p.ci95[0]:+.4f}, {p.ci95[1]:+.4f}]  AUC {p.auc:+.4f}  "
        f"users up {p.users_up:.0%}, down {p.users_down:.0%}"
        for name, p in paired.items()
    ]
