"""How the arms compare lately: intervals hold what is true, and who is harmed is counted."""

import numpy as np

from device_sim.lately import WINDOW, Lately
from wire.arrays import F32, U8, U64
from wire.task import ARMS


def predicted(n: int, users: int, lift: float, seed: int = 0) -> tuple[U64, U8, dict[str, F32]]:
    """Predictions in which coda ranks better than the cloud by some lift, and all other arms like the cloud."""
    rng = np.random.default_rng(seed)
    user, label = rng.integers(0, users, n).astype(np.uint64), rng.integers(0, 2, n).astype(np.uint8)
    odds = dict.fromkeys(ARMS, 0.3 * label + rng.normal(size=n))
    odds["coda"] = odds["coda"] + lift * label
    return user, label, {arm: (1 / (1 + np.exp(-each))).astype(np.float32) for arm, each in odds.items()}


def test_a_gain_is_within_its_interval_and_none_is_not_seen_as_one() -> None:
    found = {(gain.arm, gain.devices): gain for gain in Lately(*predicted(20_000, 200, lift=0.3)).gains()}
    assert found["coda", "all"].low > 0 and found["coda", "all"].harmed < 0.2
    assert found["local", "all"].low == found["local", "all"].high == 0.0


def test_intervals_hold_the_truth_nineteen_times_of_twenty() -> None:
    held = 0
    for seed in range(40):
        user, label, arms = predicted(4000, 80, lift=0.0, seed=seed)
        arms["coda"] = np.random.default_rng(1000 + seed).permutation(arms["cloud"])
        truth = 0.5 - 0.584  # of noise against the cloud, whose AUC is that of a shift by .3
        (coda,) = [gain for gain in Lately(user, label, arms).gains() if (gain.arm, gain.devices) == ("coda", "all")]
        held += coda.low <= truth <= coda.high
    assert held >= 34


def test_only_the_newest_predictions_count_and_groups_go_by_all_of_them() -> None:
    user, label, arms = predicted(WINDOW + 5000, 50, lift=0.3)
    arms["coda"][:5000] = 0.5
    found = {(gain.arm, gain.devices) for gain in Lately(user, label, arms).gains()}
    assert ("coda", "heavy") in found and ("coda", "new") not in found
    assert all(gain.mean > 0 for gain in Lately(user, label, arms).gains() if gain.arm == "coda")


def test_of_too_few_users_nothing_is_said() -> None:
    assert list(Lately(*predicted(50, 1, lift=0.3)).gains()) == []


def test_calibration_is_how_far_the_newest_probabilities_are_from_what_came() -> None:
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.3, 0.6, WINDOW + 5000).astype(np.float32)
    label = (rng.random(len(chance)) < chance).astype(np.uint8)
    chance[:5000] = 0.99  # long ago
    arms = dict.fromkeys(ARMS, chance) | {"coda": chance + np.float32(0.2)}
    user = np.arange(len(chance), dtype=np.uint64) % 50
    found = {arm: off for arm, devices, off in Lately(user, label, arms).calibration() if devices == "all"}
    assert abs(found.pop("coda") - 0.2) < 0.02 and max(found.values()) < 0.02


def test_calibration_is_told_of_each_group_of_devices() -> None:
    """Of two users who were there seldom, and of two who were there often, for whom coda is a fifth too high."""
    user = np.array([1, 2] * 9 + [3, 4] * 2000, np.uint64)
    arms = {arm: np.full(len(user), 0.5, np.float32) for arm in ARMS}
    label = (np.arange(len(user)) // 2 % 2).astype(np.uint8)
    arms["coda"][18:] = 0.7
    found = {devices: off for arm, devices, off in Lately(user, label, arms).calibration() if arm == "coda"}
    assert found.keys() == {"all", "new", "heavy"}
    assert found["new"] < 0.1 and abs(found["heavy"] - 0.2) < 0.01
