"""Planted logs: made-up logs whose truth is known, and how much of it each arm finds.

    python -m benchmarks.planted                        all of them, as a table
    python -m benchmarks.planted tastes noise --users 200
    python -m benchmarks.planted --base boosted         devices add to trees for all, not to the first cloud model

Every event has a chance that its user takes the item. Ranking by these chances is the truth, which nobody can know who
has seen a user three times in a category. The ceiling is who knows how the log is made, and what came before each
event, but not who likes what (Bayes' rule). An arm's share is what it ranks better than the first cloud model does, of
what the ceiling does. In `noise` there is nothing to find: what counts is how far an arm falls below the cloud.

| log | who takes what |
|---|---|
| `tastes` | each user likes 4 of 20 categories |
| `habits` | each user likes 5 of 100 items, and meets them again and again |
| `turning` | like `tastes`, but each user's taste turns to other categories half-way through the stream |
| `groups` | 10 groups of users like and often meet items of their own, all new when the stream begins |
| `drift` | all like the same items, which live for a fiftieth of the log |
| `bots` | like `tastes`, but half of the users take anything by chance |
| `noise` | everybody takes anything by chance |
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch

from index.pool import Pool
from index.spec import PoolSpec
from streams.base.names import LOGGED, STALE
from streams.evaluation.evaluate import evaluate
from streams.evaluation.lineup import ALL, BASES
from streams.evaluation.paired import Comparison
from streams.evaluation.prequential import Plan
from streams.evaluation.result import all_arms
from streams.work_view import work_view
from wire.arrays import F64, I64, Bool

CATEGORIES, ITEMS, LIKED, GROUPS, LIVES = 20, 100, 4, 10, 50
EVENTS = 60  # of a user
SPAN_MS = 30 * 86_400_000
STREAMED = 0.6  # of the log: where `Plan.initial_share` lets the stream begin, and taste turns half-way from there
LIKE, ELSE = 0.5, 0.2  # chances


class Draw:
    """What n events are of: user, item, category, when (0 to 1 of the log), and dice for the rest."""

    def __init__(self, users: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        n = users * EVENTS
        self.users = users
        self.user: I64 = self.rng.permutation(np.repeat(np.arange(users), EVENTS))
        self.item: I64 = self.rng.integers(0, ITEMS, n)
        self.category: I64 = self.item % CATEGORIES
        self.when: F64 = np.sort(self.rng.random(n))
        self.cell: I64 = self.user * CATEGORIES + self.category  # events of one cell tell of each other
        self.met = 0.0  # nats that an event speaks for its cell being liked, whatever its label

    def some(self, of: int, share: float, owners: int) -> Bool:
        """For each of `owners`, which of so many things are theirs, (owners, of)."""
        order = self.rng.random((owners, of)).argsort(axis=1)
        some: Bool = order < share * of
        return some

    def meet(self, liked: Bool, owner: I64, share: float) -> None:
        """Let a `share` of events be of items that their `owner` likes, (owners, ITEMS), as many each."""
        own = np.nonzero(liked)[1].reshape(len(liked), -1)
        meets = self.rng.random(len(owner)) < share
        self.item = np.where(meets, own[owner, self.rng.integers(0, own.shape[1], len(owner))], self.item)
        self.category = self.item % CATEGORIES
        self.cell = owner * ITEMS + self.item
        self.met = np.log(1 + share / own.shape[1] / ((1 - share) / ITEMS))

    def short_lived(self) -> None:
        """Items of their own for each `LIVES`th part of the log."""
        self.item += ITEMS * (self.when * LIVES).astype(np.int64)


def tastes(draw: Draw) -> F64:
    """Each user likes some categories."""
    liked = draw.some(CATEGORIES, LIKED / CATEGORIES, draw.users)
    return np.where(liked[draw.user, draw.category], LIKE, ELSE)


def habits(draw: Draw) -> F64:
    """Each user likes some items, and meets them again and again."""
    liked = draw.some(ITEMS, 0.05, draw.users)
    draw.meet(liked, draw.user, 0.4)
    return np.where(liked[draw.user, draw.item], LIKE, ELSE)


def turning(draw: Draw) -> F64:
    """Each user's taste turns."""
    before, after = (draw.some(CATEGORIES, LIKED / CATEGORIES, draw.users) for _ in range(2))
    turned = draw.when > STREAMED + (1 - STREAMED) / 2
    draw.cell += turned * (draw.users * CATEGORIES)
    liked = np.where(turned, after[draw.user, draw.category], before[draw.user, draw.category])
    return np.where(liked, LIKE, ELSE)


def groups(draw: Draw) -> F64:
    """Groups like items, and meet them again and again, that are new to everybody."""
    streamed = draw.when > STREAMED
    owner = draw.user % GROUPS + GROUPS * streamed
    liked = draw.some(ITEMS, 0.1, 2 * GROUPS)
    draw.meet(liked, owner, 0.5)
    chance = np.where(liked[owner, draw.item], LIKE, ELSE)
    draw.item += ITEMS * streamed
    return chance


def drift(draw: Draw) -> F64:
    """All like the same items, which are soon gone."""
    draw.short_lived()
    draw.cell = draw.item
    return np.where(draw.some(ITEMS * LIVES, 0.2, 1)[0, draw.item], LIKE, ELSE)


def bots(draw: Draw) -> F64:
    """Half of the users have no taste."""
    draw.cell = np.where(draw.user % 2, draw.cell, -1 - np.arange(len(draw.cell)))
    return np.where(draw.user % 2, tastes(draw), (LIKE + ELSE) / 2)


def noise(draw: Draw) -> F64:
    """Nobody has any."""
    draw.cell = np.arange(len(draw.cell))
    return np.full(len(draw.user), (LIKE + ELSE) / 2)


PLANTED: dict[str, Callable[[Draw], F64]] = {
    each.__name__: each for each in (tastes, habits, turning, groups, drift, bots, noise)
}


def planted_log(name: str, users: int, seed: int) -> pl.DataFrame:
    """The log, sorted, with the columns `chance` and `knowable`, which ranks as the ceiling does: an evaluation never
    looks at them."""
    draw = Draw(users, seed)
    chance = PLANTED[name](draw)
    label = draw.rng.random(len(chance)) < chance
    return pl.DataFrame(
        {
            "event_id": [f"e{n}" for n in range(len(chance))],
            "user_id": [f"u{user}" for user in draw.user],
            "item_id": [f"i{item}" for item in draw.item],
            "category_id": [f"c{category}" for category in draw.category],
            "event_type": ["view"] * len(chance),
            "label": label.astype(np.int8),
            "timestamp": 10**12 + (draw.when * SPAN_MS).astype(np.int64),
            "chance": chance,
            "knowable": knowable(draw.cell, label, draw.met),
        }
    )


def knowable(cell: I64, label: Bool, met: float = 0.0) -> F64:
    """The chance of each event (n,) for who was undecided whether its cell is liked, and saw those of its events that
    came before: each says `met`, in nats, beside its label. Rounded, so that to know as much is to rank alike, in
    whatever order sums were taken.

    >>> knowable(np.array([7, 8, 7]), np.array([True, True, False])).round(2).tolist()
    [0.35, 0.35, 0.41]
    """
    odds = np.array([np.log((1 - LIKE) / (1 - ELSE)), np.log(LIKE / ELSE)])[label.astype(np.int64)] + met
    before = pl.col("odds").cum_sum().over("cell") - pl.col("odds")
    so_far = pl.DataFrame({"cell": cell, "odds": odds}).select(before).to_series().to_numpy()
    chance: F64 = ELSE + (LIKE - ELSE) / (1 + np.exp(-so_far))
    return chance.round(9)


def shares(log: pl.DataFrame, base: str, seed: int) -> dict[str, float]:
    """GAUC of each arm, of the ceiling and of the truth on the second half of the stream, where devices add to `base`;
    and the share of devices that stand `aside` in the end."""
    plan = Plan(refresh_ms=0, base=base, seed=seed)
    with (
        work_view("") as show,
        tempfile.TemporaryDirectory() as folder,
        Pool.open(Path(folder) / "pool", PoolSpec()) as pool,
    ):
        outcome = evaluate(log, pool, plan, show)
    predictions = all_arms({base: outcome})
    facts = log.select("event_id", ceiling="knowable", truth="chance")
    half = predictions[len(predictions) // 2 :].join(facts, on="event_id")
    arms = [arm for arm in (*ALL, "ceiling", "truth") if arm in half.columns]
    gauc = {arm: figures.gauc or 0.5 for arm, figures in Comparison(half, arms, seed).figures().items()}
    return gauc | {"aside": outcome.aside / predictions["user_id"].n_unique()}


def table(found: dict[str, dict[str, float]]) -> list[str]:
    """For people: GAUC, and the share of what was to be gained over the cloud."""
    arms = [arm for arm in next(iter(found.values())) if arm not in ("cloud", "ceiling", "truth", "aside")]
    lines = ["| log | cloud | ceiling | truth | aside | " + " | ".join(arms) + " |", "|---" * (len(arms) + 5) + "|"]
    for name, gauc in found.items():
        cloud, ceiling = gauc["cloud"], gauc["ceiling"]
        cells = [f"{gauc[arm]:.3f}" + _share(gauc[arm] - cloud, ceiling - cloud) for arm in arms]
        known = f"{cloud:.3f} | {ceiling:.3f} | {gauc['truth']:.3f} | {gauc['aside']:.0%}"
        lines.append(f"| {name} | {known} | " + " | ".join(cells) + " |")
    return lines


def _share(gain: float, reachable: float) -> str:
    return f" ({gain / reachable:.0%})" if reachable > 0.02 else f" ({gain:+.4f})"


def main(words: Sequence[str] | None = None) -> None:
    """Make the logs, evaluate each, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="*", default=list(PLANTED), help="which of them; all unless given")
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--base", choices=sorted({*BASES} - {LOGGED}), default=STALE, help="what devices add to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write GAUC by log and arm here, and the share that stands aside")
    options = parser.parse_args(words)
    if unknown := sorted({*options.logs} - {*PLANTED}):
        parser.error(f"there is no planted log {', '.join(unknown)}: choose of {', '.join(PLANTED)}")
    torch.set_num_threads(1)
    logs = {name: planted_log(name, options.users, options.seed) for name in options.logs}
    found = {name: shares(log, options.base, options.seed) for name, log in logs.items()}
    print("\n".join(table(found)))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
