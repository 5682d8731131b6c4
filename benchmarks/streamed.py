"""What streamed features cost, and regressions and trees on them: CPU time of one core per moment.

python -m benchmarks.streamed                 made-up moments of 2,000 users and 5,000 items
python -m benchmarks.streamed --block 32      in smaller blocks than the evaluation's
"""

import argparse
import gc
import json
import time
from pathlib import Path

import numpy as np

from models.cloud_model import sigmoid
from models.streamed.bins import Bins
from models.streamed.boosted import train
from models.streamed.design import Design
from models.streamed.features import Streamed
from models.streamed.ftrl import Ftrl
from models.streamed.moments import Moments
from streams.base.model import RENEWED

USERS, ITEMS, CATEGORIES = 2_000, 5_000, 50


def moments(n: int, seed: int) -> Moments:
    """A second apart, items as unevenly popular as they tend to be."""
    rng = np.random.default_rng(seed)
    item, user = np.minimum(rng.zipf(1.3, n), ITEMS), rng.integers(1, USERS, n)
    liked = (user + item % CATEGORIES) % 3 == 0  # a third of the categories, so that there is something to learn
    return Moments(
        user=user.astype(np.uint64),
        item=(item * 2_654_435_761 % 2**32).astype(np.uint32),
        category=(item % CATEGORIES + 1).astype(np.uint32),
        label=(rng.random(n) < np.where(liked, 0.6, 0.2)).astype(np.uint8),
        timestamp=10**12 + 1000 * np.arange(n),
    )


class Spent:
    """CPU seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.process_time()

    def on(self, step: str) -> None:
        """All since the last call was spent on this."""
        now = time.process_time()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._since
        self._since = now


def spent_on(n: int, block: int, *, impressions: bool) -> dict[str, float]:
    """Seconds of each step over `n` moments in blocks."""
    streamed, whole, seen = Streamed(impressions=impressions), moments(n, seed=0), []
    spent = Spent()
    for first in range(0, n, block):
        seen.append(streamed.take(whole.take(slice(first, first + block))))
        spent.on("features")
        streamed.learn(seen[-1])
        spent.on("crowd")
    features = np.concatenate([each.features for each in seen])
    design = Design(streamed.names, Bins(features), same=streamed.same, impressions=impressions)
    model = Ftrl()
    spent.on("bins")
    for each in seen:
        at = design.of(each)
        spent.on("coordinates")
        expected = sigmoid(model.logits(at).astype(np.float32)).astype(np.float64)
        spent.on("prediction")
        model.learn(at, each.moments.label - expected)
        spent.on("regression")
    known = n * 6 // 10  # as much as an evaluation's initial part
    label = np.concatenate([each.moments.label for each in seen])
    trees = train(features[:known], label[:known], streamed.names, held=streamed.held, seed=0)
    spent.on("training of trees")
    assert trees is not None, "there are enough moments"
    trees.again(features[:known], label[:known], lambda: None)
    spent.on("training again")
    spent.seconds["training again"] *= n / (RENEWED * known)  # as if each of the `n` came in the stream
    for each in seen:
        trees.logits(each.features)
    spent.on("trees")
    return spent.seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=100_000)
    parser.add_argument("--block", type=int, default=256, help="moments that are taken at once")
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    found = {}
    gc.freeze()  # else a collection walks all that was imported, which in a short run weighs as much as a feature
    for impressions in (False, True):
        seconds = spent_on(options.moments, options.block, impressions=impressions)
        us = {step: round(1e6 * each / options.moments, 2) for step, each in seconds.items() if step != "bins"}
        found["impressions" if impressions else "positives"] = us
        print("with impressions" if impressions else "positives only", *(f"{k} {v:.1f} µs" for k, v in us.items()))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
