"""Batched device training against a loop over devices, for the sample classifier and the personal head.

    python -m benchmarks.training [--devices 256] [--json FILE]

Both sides take the same steps on batches of the same size (tests/models hold the two heads to the same numbers):
the loop with one torch module, autograd and torch's Adam per device, the stacked side with what the fleet runs. They
take turns in each repeat, on one thread, in CPU time so that neighbours on the machine count less, and the median of
the repeats' ratios counts. Rows are synthetic: time does not depend on their values. The profile says where the
stacked time goes.
"""

import argparse
import cProfile
import json
import platform
import pstats
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.one_classifier import train_one_classifier
from benchmarks.one_head import train_one_head
from models.classifier import fit_classifiers
from models.cloud_model import random_model
from models.heads import fit_heads
from models.task import Task
from models.training_rows import TrainingRows

OWN, OUTSIDE = 128, 200  # rows of a device: half a window, a usual candidate batch
TASK = Task(task_version=0)
TARGET = 10.0
NONE = np.zeros(0, np.uint32)
TEMPLATE = random_model(NONE, NONE, seed=0).head


def head_rows(devices: int) -> TrainingRows:
    """Own and outside rows for one head per device; items from a catalogue of 1,700, as ml-100k has."""
    rng = np.random.default_rng(0)
    shape = (devices, OWN + OUTSIDE)
    outside = np.broadcast_to(np.arange(shape[1]) >= OWN, shape).astype(np.float32)
    return TrainingRows(
        features=rng.normal(size=(*shape, 96)).astype(np.float32),
        label=rng.integers(0, 2, shape).astype(np.float32),
        weight=np.where(outside > 0, np.float32(TASK.outside_weight), np.float32(1)),
        outside=outside,
        item=rng.integers(1, 1700, shape).astype(np.uint32),
        category=rng.integers(1, 20, shape).astype(np.uint32),
    )


def compare_heads(devices: int, looped: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """The stacked side over `devices` heads, and the loop over `looped` of them."""
    rows = head_rows(devices)
    settings: dict[str, Any] = {
        "steps": TASK.steps,
        "learning_rate": TASK.learning_rate,
        "weight_decay": TASK.weight_decay,
    }
    singles = [rows.take(slice(g, g + 1)) for g in range(looped)]
    return (
        lambda: fit_heads(TEMPLATE, rows, **settings),
        lambda: [train_one_head(TEMPLATE, one, **settings) for one in singles],
    )


def compare_classifiers(devices: int, looped: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """The stacked side judges its outside rows too; the loop only trains."""
    rng = np.random.default_rng(0)
    own = rng.normal(size=(devices, OWN, 34)).astype(np.float32)
    others = rng.normal(size=(devices, OUTSIDE, 34)).astype(np.float32)
    counts = np.full(devices, OWN), np.full(devices, OUTSIDE)
    settings: dict[str, Any] = {"steps": TASK.classifier_steps, "learning_rate": TASK.classifier_learning_rate}
    return (
        lambda: fit_classifiers(own, others, *counts, **settings),
        lambda: [train_one_classifier(own[g], others[g], **settings) for g in range(looped)],
    )


def measure(stacked: Callable[[], object], loop: Callable[[], object], devices: int, looped: int, repeats: int) -> Any:
    """Milliseconds per device on either side, in turns, and the median ratio with its range."""
    stacked(), loop()  # warm up
    times = [(_ms(stacked) / devices, _ms(loop) / looped) for _ in range(repeats)]
    ratios = sorted(slow / fast for fast, slow in times)
    return {
        "stacked_ms": round(statistics.median(fast for fast, _ in times), 3),
        "loop_ms": round(statistics.median(slow for _, slow in times), 3),
        "ratio": round(statistics.median(ratios), 1),
        "ratio_range": [round(ratios[0], 1), round(ratios[-1], 1)],
    }


def profiled(stacked: Callable[[], object]) -> dict[str, float]:
    """Share of the stacked side's time in each of the functions that take most of it."""
    profile = cProfile.Profile(time.thread_time)
    profile.runcall(stacked)
    stats: Any = pstats.Stats(profile)
    largest = sorted(((own_s, name) for (_, _, name), (_, _, own_s, _, _) in stats.stats.items()), reverse=True)[:8]
    return {name.strip("<>").removeprefix("built-in method "): round(s / stats.total_tt, 3) for s, name in largest}


def _ms(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return (time.thread_time() - started) * 1e3


def main() -> None:
    """Print the table, and write the JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=256, help="devices trained together")
    parser.add_argument("--looped", type=int, default=48, help="of these, how many the loop trains (it is slow)")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the results here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {
        "machine": {"cpu": torch.backends.cpu.get_cpu_capability(), "python": platform.python_version()},
        "torch": torch.__version__,
        "devices": given.devices,
        "rows": {"own": OWN, "outside": OUTSIDE},
    }
    print(f"{'':12}{'stacked ms':>12}{'loop ms':>10}{'ratio':>8}   range        target {TARGET:g}x")
    for name, compare in (("head", compare_heads), ("classifier", compare_classifiers)):
        stacked, loop = compare(given.devices, given.looped)
        found = measure(stacked, loop, given.devices, given.looped, given.repeats)
        result[name] = found | {"profile": profiled(stacked), "target_met": found["ratio"] >= TARGET}
        low, high = found["ratio_range"]
        print(f"{name:12}{found['stacked_ms']:12.3f}{found['loop_ms']:10.3f}{found['ratio']:8.1f}   {low}–{high}")
        print("            " + ", ".join(f"{op} {share:.0%}" for op, share in result[name]["profile"].items()))
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
