from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from streams.evaluation.combined import Run, combined
from streams.evaluation.paired import Comparison
from wire.errors import InputError

SETTINGS: Mapping[str, Any] = {"initial_share": 0.6, "window": 64}


def predictions(seed: int, events: int = 200) -> pl.DataFrame:
    """Predictions of two arms for five users, whose names are the same in every run; `coda` knows a little more."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, events)
    return pl.DataFrame(
        {
            "user_id": [f"u{n}" for n in rng.integers(0, 5, events)],
            "event_id": [f"{seed}-{n}" for n in range(events)],
            "label": label,
            "timestamp": np.arange(events),
            "cloud": rng.uniform(0.2, 0.8, events),
            "coda": np.clip(rng.uniform(0.2, 0.8, events) + 0.1 * label, 0, 1),
            "repeat": rng.random(events) < 0.3,
        }
    )


def run(seed: int, log: str = "a-log", **settings: Any) -> Run:
    return Run(log, seed, {**SETTINGS, **settings}, predictions(seed))


def test_users_of_different_runs_are_different_users() -> None:
    one, both = combined([run(0)]), combined([run(0), run(1)])
    assert (one.devices, one.predicted, one.seeds) == (5, 200, [0])
    assert (both.devices, both.predicted, both.seeds) == (10, 400, [0, 1])
    gauc = [Comparison(predictions(seed), ["cloud", "coda"], 0).figures()["coda"].gauc for seed in (0, 1)]
    assert one.arms["coda"].gauc == gauc[0]
    assert both.arms["coda"].gauc == pytest.approx(np.mean(np.array(gauc, float)), abs=1e-6)
    assert both.paired["coda-cloud"].users == 10


def test_parts_are_those_of_every_run_together() -> None:
    both = combined([run(0), run(1)])
    assert {name: part.events for name, part in both.halves.items()} == {"first": 200, "second": 200}
    seconds = [predictions(seed)[100:] for seed in (0, 1)]
    positives = sum(int(table["label"].sum()) for table in seconds)
    losses = -sum(float(t["coda"].log().filter(t["label"] == 1).sum()) for t in seconds)
    losses -= sum(float((1 - t["coda"]).log().filter(t["label"] == 0).sum()) for t in seconds)
    assert both.halves["second"].positives == positives
    assert both.halves["second"].arms["coda"].logloss == pytest.approx(losses / 200, abs=1e-5)
    repeats = sum(int(predictions(seed)["repeat"].sum()) for seed in (0, 1))
    assert {name: part.events for name, part in both.items.items()} == {"new": 400 - repeats, "repeat": repeats}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (run(1, log="another"), "another log"),
        (run(1, window=65), "other settings"),
        (run(0), "two runs have one seed"),
        (Run("a-log", 1, SETTINGS, predictions(1).drop("coda")), "other arms"),
    ],
)
def test_what_is_not_one_evaluation_with_another_seed_is_not_combined(other: Run, words: str) -> None:
    with pytest.raises(InputError, match=words):
        combined([run(0), other])
