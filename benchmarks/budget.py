"""What a batch is worth by how old one may get before the next is pushed or asked for: GAUC, batches and bytes.

python -m benchmarks.budget LOG --negatives 2 --budgets 10m 1h 6h
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from index.pool import Pool
from index.spec import PoolSpec
from operators.user import MatchRules
from streams.evaluation.evaluate import evaluate
from streams.evaluation.log import evaluation_log
from streams.evaluation.paired import Comparison
from streams.evaluation.prequential import Plan
from streams.logs.data import find_log
from streams.logs.event_log import EventLog
from streams.logs.negatives import Sampling
from streams.times import Duration
from wire.task import Task

BUDGETS = ("10m", "1h", "3h", "12h")
ARMS = ("cloud", "local", "coda")


class Row(NamedTuple):
    """One budget: batches and bytes an event predicted, GAUC of each arm, coda's over local's with its interval."""

    budget: str
    batches_per_event: float
    bytes_per_event: float
    gauc: dict[str, float | None]
    over_local: tuple[float, float, float]


def measured(log: str, budget: str, given: argparse.Namespace) -> Row:
    """One evaluation."""
    torch.set_num_threads(1)
    sampling = Sampling(given.negatives, given.seed) if given.negatives else None
    age_ms = Duration.parse(budget).ms
    rules = MatchRules(freshness_budget_ms=age_ms)
    task = Task(task_version=1, arms=ARMS, candidate_age_ms=age_ms, idle_age_ms=max(age_ms, 3 * 3_600_000))
    plan = Plan(devices=given.devices, refresh_ms=0, seed=given.seed, rules=rules, task=task)
    with tempfile.TemporaryDirectory() as folder, Pool.open(Path(folder) / "pool", PoolSpec()) as pool:
        outcome = evaluate(evaluation_log(EventLog(find_log(log)), sampling).events, pool, plan, lambda *_: None)
    events = max(len(outcome.predictions), 1)
    paired = Comparison(outcome.predictions, ARMS, given.seed)
    pair = paired.pairs([("coda", "local")])["coda-local"]
    gauc = {arm: figures.gauc for arm, figures in paired.figures().items()}
    down = np.array(outcome.bytes_down)
    return Row(budget, len(down) / events, float(down.sum()) / events, gauc, (pair.gauc, *pair.ci95))


def main() -> None:
    """Evaluate with each budget and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", nargs="?", default="ml-100k")
    parser.add_argument("--budgets", nargs="+", default=BUDGETS)
    parser.add_argument("--negatives", type=int, default=0)
    parser.add_argument("--devices", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(f"{'budget':>7} {'batches/event':>14} {'kB/event':>9} {'GAUC coda':>10} {'coda − local':>27}")
    rows = []
    for budget in given.budgets:
        row = measured(given.log, budget, given)
        rows.append(row._asdict())
        gain, low, high = row.over_local
        worth = f"{gain:+.4f} [{low:+.4f}, {high:+.4f}]"
        counts = f"{row.batches_per_event:14.2f} {row.bytes_per_event / 1000:9.1f}"
        print(f"{budget:>7} {counts} {row.gauc['coda'] or float('nan'):10.4f} {worth:>27}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
