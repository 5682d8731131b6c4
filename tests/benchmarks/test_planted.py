import numpy as np
import pytest

from benchmarks.planted import PLANTED, planted_log
from models.scores import auc


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_log_is_one_with_its_ceiling(name: str) -> None:
    log = planted_log(name, users=60, seed=3)
    assert log["timestamp"].is_sorted() and log.height == 60 * 60
    assert log["event_id"].n_unique() == log.height
    assert log["label"].mean() == pytest.approx(log["chance"].mean(), abs=0.03)
    assert log["knowable"].is_between(0, 1).all(), "it is compared like an arm's probabilities"
    label = log["label"].to_numpy().astype(np.uint8)
    ceiling, truth = (auc(label, log[column].to_numpy()) for column in ("knowable", "chance"))
    assert ceiling == truth == 0.5 if name == "noise" else 0.5 < ceiling < truth < 0.75
    assert planted_log(name, users=60, seed=3).equals(log)


def test_a_taste_turns_and_half_of_the_users_are_bots() -> None:
    turning = planted_log("turning", users=30, seed=0)
    liked = turning.filter(chance=0.5)
    early, late = (
        set(part.select("user_id", "category_id").rows()) for part in (liked[: liked.height // 2], liked[-300:])
    )
    assert len(late - early) > 30
    assert planted_log("bots", users=30, seed=0).filter(chance=0.35)["user_id"].n_unique() == 15
