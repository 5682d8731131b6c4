"""Who acts when in a log for a steady pace."""

import numpy as np

from benchmarks.paced_log import START_MS, paced_log


def test_users_who_are_due_after_every_so_many_events_are_due_evenly_to_the_end() -> None:
    log = paced_log("generated", 500, 130, 1000, print)
    users, times = log["user_id"].to_list(), log["timestamp"].to_numpy() - START_MS
    count: dict[str, int] = {}
    due = np.zeros(65)
    for user, time in zip(users, times.tolist(), strict=True):
        count[user] = count.get(user, 0) + 1
        due[time // 1000] += count[user] % 20 == 0
    steady = due[30:]  # everybody begins at once
    assert len(log) == 500 * 130 and times[-1] == 64_999 and log.null_count().sum_horizontal().item() == 0
    assert abs(steady.mean() - 50) < 5 and steady.min() > 25 and steady.max() < 85
