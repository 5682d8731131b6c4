"""Arms and drift as a person reads them."""

from streams.watch.fold import Fold
from streams.watch.picture import Picture
from streams.watch.results import arms, drift
from tests.streams.watch.statuses import status
from wire.status import Role


def picture() -> Picture:
    def gain(arm: str, devices: str, low: float, mean: float, high: float) -> dict[str, float]:
        labels = f"arm={arm},devices={devices},bound="
        return {f"{labels}low": low, f"{labels}mean": mean, f"{labels}high": high}

    values = {
        "coda_arm_gauc": {"arm=cloud": 0.6, "arm=coda": 0.65},
        "coda_arm_auc": {"arm=cloud": 0.7, "arm=coda": 0.71},
        "coda_lately_gauc_gain": gain("coda", "all", 0.01, 0.03, 0.05) | gain("coda", "new", -0.02, 0.01, 0.04),
        "coda_lately_harmed_share": {"arm=coda": 0.12},
        "coda_cloud_log_loss_total": {"age=< 1 h": 5.0, "age=1 d": 14.0},
        "coda_cloud_log_loss_events_total": {"age=< 1 h": 10.0, "age=1 d": 20.0},
    }
    fold = Fold()
    fold.take(status(Role.FLEET, "f", at_s=1, values=values), 1000)
    return fold.picture(1000)


def test_the_best_arm_comes_first_with_its_interval_and_whom_it_harms() -> None:
    best, cloud, new = arms(picture())
    assert best[:5] == ("coda", "0.6500", "+0.0500", "0.7100", "+0.0300 [+0.0100, +0.0500]") and best[5] == "12%"
    assert cloud[0] == "cloud" and cloud[4] == ""
    assert new[0] == "coda, new users" and new[4] == "+0.0100 [-0.0200, +0.0400]"


def test_drift_is_the_loss_by_the_age_of_the_model() -> None:
    assert drift(picture()) == [("< 1 h", "10", "0.5000"), ("1 d", "20", "0.7000")]
