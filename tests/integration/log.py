"""A small event log with something to learn in it: users like some categories and not others."""

import csv
from pathlib import Path

import numpy as np

COLUMNS = ("user_id", "item_id", "category_id", "event_type", "label", "timestamp")
FIRST_MS = 1_700_000_000_000
EVERY_MS = 1_000


def write_log(path: Path, users: int, events: int, seed: int = 0) -> Path:
    """`events` clicks and skips of `users`, one each second; a user mostly likes a third of the categories."""
    rng = np.random.default_rng(seed)
    likes = rng.random((users, 12)) < 1 / 3
    user, category = rng.integers(0, users, events), rng.integers(0, 12, events)
    item = category * 20 + rng.integers(0, 20, events)
    label = rng.random(events) < np.where(likes[user, category], 0.8, 0.2)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for n in range(events):
            row = (f"u{user[n]}", f"i{item[n]}", f"c{category[n]}", "click", int(label[n]), FIRST_MS + n * EVERY_MS)
            writer.writerow(row)
    return path
