"""`coda evaluate`: the arms compared on a log, without a broker."""

import tempfile
from collections.abc import Mapping, Sequence
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
from streams.base.choice import choose, odd_base, possible, ready
from streams.base.context import NO_OPTIONS, ContextOptions, telling
from streams.evaluation.evaluate import evaluate
from streams.evaluation.lineup import BASES, spoken
from streams.evaluation.log import evaluation_log
from streams.evaluation.paired import ArmFigures, Pair
from streams.evaluation.prequential import Outcome, Plan
from streams.evaluation.report import evaluation_report, figure
from streams.evaluation.result import Result, Setting, all_arms, result_of
from streams.evaluation.verdict import TERMS
from streams.logs.check import USERS_NEEDED
from streams.logs.data import find_log
from streams.logs.event_log import EventLog
from streams.logs.negatives import Sampling
from streams.logs.options import AS_FOUND, LogOptions
from streams.logs.slices import INITIAL_SHARE
from streams.run_folder import environment, run_folder, write_json
from streams.settings import ALL, AtLeast0, AtLeast1, AtLeast2, Devices, Share, SomeTime, Span
from streams.stop import Stop, Stopped
from streams.terminal import say
from streams.times import Duration
from streams.work_view import work_view
from wire.durable import write_durably, write_frame
from wire.task import CLASSIFIER_STEPS, Task

RESULT, REPORT, PREDICTIONS, RUN = "result.json", "report.html", "predictions.parquet", "run.json"
_MATCH_EVERY = 2  # retrainings between matches, as the live defaults have it: 20 samples and 10
_LATER = (Duration.parse("1h"), Duration.parse("24h"))  # with what --freshness compares


def command(
    log: str,
    /,
    *,
    devices: Devices = 800,
    seed: int = 0,
    initial_share: Share = INITIAL_SHARE,
    retrain_every: AtLeast1 = 10,
    device_window: AtLeast1 = 1024,
    candidates: AtLeast2 = 1600,
    min_users: AtLeast1 = 5,
    pool_age: SomeTime = Duration.parse("30d"),
    negatives: AtLeast0 = 0,
    refresh: Span = Duration.parse("24h"),
    base: Literal["logged", "stale", "refreshed", "online", "boosted", "all"] | None = None,
    delay: SomeTime = Duration.parse("5s"),
    freshness: bool = False,
    classifier: bool = False,
    options: LogOptions = AS_FOUND,
    context: ContextOptions = NO_OPTIONS,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Say whether personal models beat a global one on a log, by test-then-train, without any broker.

    The initial part of the log trains the first cloud model and fills the pool. The rest comes in event time with the
    live system's own parts: every arm predicts each event of the chosen users before anything learns from it. The
    verdict comes first; the run folder gets the result as JSON, a report, and all predictions.

    Example

    ```
    coda evaluate ml-100k --devices all
    coda evaluate events.csv --positive addtocart,transaction --negatives 2
    coda evaluate impressions.csv --item-context price --moment-context page
    ```

    Args:
        log: A file, or a name from `coda data list`.
        devices: How many of the users after the initial part get a device, chosen by the seed, or `all`.
        seed: Of everything that is drawn at random.
        initial_share: The share of the log, by time, that the first cloud model learns from.
        retrain_every: Own samples between two retrainings of a device; it is matched after twice as many.
        device_window: How many of its newest samples a device keeps.
        candidates: Matched samples in a batch, half of them of each label; the random arm gets as many.
        min_users: A sample enters the pool once so many users took its item; 1 lets all in at once.
        pool_age: How old, in event time, a sample of the pool may get.
        negatives: Sampled negatives per positive, for a log that has positives only; its rows of label 0 are left out.
            They are of what others took soon after, from so far ahead as is fair; what tells them apart is printed.
        refresh: Event time between cloud model versions for `cloud-refreshed`, such as 24h; 0s makes none.
        base: What personal models add to: what your own model expected of each event (`logged`, with --column
            base=NAME, and then the default), a global model with all live features (`boosted`, else the default, or
            `online`, which takes fewer events), the first cloud model (`stale`), as live where events say no base,
            each new one (`refreshed`), or one run of each (`all`).
        delay: How old what happened is at least when it is pooled, matched and trained on; 24h for nightly jobs.
        freshness: Run it with a delay of 1h and of 24h as well, to find out how fresh batches have to be.
        classifier: Devices train a sample classifier, by which `coda` weighs matched samples; `coarse` is the same
            without. It takes time, and added next to nothing on any log so far.
        out: The run folder; by default `runs/<timestamp>`.
        json: Print the result as JSON on standard output.
    """
    sampling = Sampling(negatives, seed) if negatives else None
    spec = PoolSpec(window_age_ms=pool_age.ms)
    plan = Plan(
        devices=devices or 0,
        initial_share=initial_share,
        refresh_ms=refresh.ms,
        delay_ms=delay.ms,
        seed=seed,
        per_label=candidates // 2,
        min_users=min_users,
        rules=MatchRules(match_every=_MATCH_EVERY * retrain_every),
        task=Task(
            task_version=1,
            window_count=device_window,
            retrain_every=retrain_every,
            classifier_steps=CLASSIFIER_STEPS if classifier else 0,
        ),
    )
    settings: dict[str, Setting] = {
        "devices": devices or ALL,
        "initial_share": initial_share,
        "retrain_every": retrain_every,
        "device_window": device_window,
        "candidates": candidates,
        "min_users": min_users,
        "pool_age": str(pool_age),
        "negatives": negatives,
        "refresh": str(refresh),
        "delay": str(delay),
        "classifier": "on" if classifier else "off",
        "columns": " ".join((*options.flags(), *context.flags())),
    }
    torch.set_num_threads(1)
    stop = Stop()  # asked between two steps: an exception out of nowhere can abort torch, or be lost in it
    try:
        with run_folder(out, datetime.now()) as folder:
            check, events, sampled = evaluation_log(EventLog(find_log(log), options), sampling)
            there = possible(events, initial_share) | {"refreshed": refresh.ms > 0}
            bases = ready(tuple(BASES), there) if base == "all" else [choose(base, tuple(BASES), there)]
            settings["base"] = " ".join(bases)
            drawn = sampled.lines() if sampled else []
            known = context.names(events)
            for line in (*check.lines(), *drawn, *odd_base(events), *telling(events, known)):
                say(line)
            plans = {name: replace(plan, base=name, context=known) for name in bases}
            first = plans[bases[0]]
            later = later_plans(first) if freshness else {}
            with stop.listening():
                run = partial(_prequential, events, spec=spec, stop=stop)
                outcomes = {name: run(f"on {BASES[name]}: " * (len(plans) > 1), plan=p) for name, p in plans.items()}
                slower = {name: run(f"learning after {name}: ", plan=p) for name, p in later.items()}
            result = result_of(log, len(events), outcomes, plan=plan, settings=settings, later=slower)
            if json:
                print(msgspec.json.encode(result).decode())
            for line in closing_lines(result):  # before a disk may turn out to be full
                say(line)
            write_json(folder / RESULT, result)
            write_json(
                folder / RUN,
                {"settings": settings, "log": check.as_dict(), "negatives": drawn, "environment": environment()},
            )
            write_frame(folder / PREDICTIONS, all_arms(outcomes))
            write_durably(folder / REPORT, evaluation_report(result, outcomes, check).encode())
    except Stopped:
        return stop.exit_code
    say(f"the report: {folder / REPORT}")
    return 0


def later_plans(plan: Plan) -> dict[str, Plan]:
    """The same with the delays of --freshness; where nothing stands on the refreshed cloud model it is left out."""
    refresh_ms = plan.refresh_ms if plan.base == "refreshed" else 0
    return {str(each): replace(plan, delay_ms=each.ms, refresh_ms=refresh_ms) for each in _LATER}


def _prequential(events: pl.DataFrame, prefix: str, *, plan: Plan, spec: PoolSpec, stop: Stop) -> Outcome:
    """One prequential run on a pool of its own, with its progress; raises `Stopped`."""
    with (
        work_view(prefix) as show,
        tempfile.TemporaryDirectory(prefix="coda-pool-") as place,
        Pool.open(Path(place) / "pool", spec) as pool,
    ):

        def progress(what: str, done: int, total: int) -> None:
            stop.check()
            show(what, done, total)

        return evaluate(events, pool, plan, progress)


def closing_lines(result: Result) -> list[str]:
    """What a person should know when it is over, the verdict first."""
    if result.users < USERS_NEEDED:
        return ["", *result.verdict.lines]
    of = f"{result.predicted:,} events predicted on {result.devices:,} devices"
    terms = [f"  {name}: {meaning}" for name, meaning in TERMS.items() if name in ("arm", "GAUC", "AUC", "log-loss")]
    figures = [*arm_lines(result.arms, result.untrained), *pair_lines(result.paired)]
    return ["", *result.verdict.lines, "", f"{of}:", *figures, *terms, "", *result.verdict.lines[:1]]


def arm_lines(arms: Mapping[str, ArmFigures], untrained: Sequence[str] = ()) -> list[str]:
    """Each arm's figures, and which have none as there was too little to train them."""
    figures = [
        f"{arm:<18} GAUC {figure(f.gauc)}  within the moment {figure(f.moment)}  NDCG {figure(f.ndcg)}  "
        f"AUC {figure(f.auc)}  log-loss {f.logloss:.4f}"
        for arm, f in arms.items()
    ]
    return figures + [f"{arm:<18} untrained: the initial part is too short for it" for arm in untrained]


def pair_lines(paired: Mapping[str, Pair]) -> list[str]:
    """Each difference between two arms."""
    return [
        f"{spoken(name):<36} GAUC {p}  AUC {p.auc:+.4f}  users up {p.users_up:.0%}, down {p.users_down:.0%}"
        for name, p in paired.items()
    ]
