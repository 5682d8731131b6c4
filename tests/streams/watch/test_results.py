"""Arms and drift as a person reads them."""

from streams.watch.fold import Fold
from streams.watch.picture import Picture
from streams.watch.results import arms, drift, lately
from streams.watch.states import state_of
from tests.streams.watch.statuses import status
from wire.status import Role


def picture(base: str = "stale") -> Picture:
    def gain(arm: str, devices: str, low: float, mean: float, high: float) -> dict[str, float]:
        labels = f"arm={arm},devices={devices},bound="
        return {f"{labels}low": low, f"{labels}mean": mean, f"{labels}high": high}

    values = {
        "coda_base": {f"base={base}": 1.0},
        "coda_arm_gauc": {"arm=cloud": 0.6, "arm=coda": 0.65},
        "coda_arm_auc": {"arm=cloud": 0.7, "arm=coda": 0.71},
        "coda_lately_gauc_gain": gain("coda", "all", 0.01, 0.03, 0.05) | gain("coda", "new", -0.02, 0.01, 0.04),
        "coda_lately_harmed_share": {"arm=coda,devices=all": 0.12, "arm=coda,devices=new": 0.25},
        "coda_lately_calibration_error": {"arm=coda,devices=all": 0.011, "arm=coda,devices=new": 0.034},
        "coda_cloud_log_loss_total": {"age=< 1 h": 5.0, "age=1 d": 14.0},
        "coda_cloud_log_loss_events_total": {"age=< 1 h": 10.0, "age=1 d": 20.0},
    }
    fold = Fold()
    fold.take(status(Role.FLEET, "f", at_s=1, values=values), 1000)
    return fold.picture(1000)


def test_the_best_arm_comes_first_with_its_interval_and_whom_it_harms() -> None:
    best, cloud = arms(picture())
    assert best == ("coda", "0.6500", "+0.0500", "0.7100", "+0.0300 [+0.0100, +0.0500]", "12%", "0.011")
    assert cloud[0] == "cloud" and cloud[4] == ""


def test_the_arm_that_devices_add_to_is_called_what_it_is() -> None:
    _, base = arms(picture("boosted"))
    assert base[:3] == ("boosted", "0.6000", "+0.0000")
    assert state_of(picture("boosted")).cloud == "boosted" and state_of(picture()).cloud == "cloud"


def test_a_group_of_devices_has_its_own_interval_share_and_calibration() -> None:
    assert lately(picture(), "coda", "new") == ("+0.0100 [-0.0200, +0.0400]", "25%", "0.034")
    assert lately(picture(), "coda", "heavy") == ("", "", "")


def test_drift_is_the_loss_by_the_age_of_the_model() -> None:
    assert drift(picture()) == [("< 1 h", "10", "0.5000"), ("1 d", "20", "0.7000")]
