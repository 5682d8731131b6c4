"""How the arms do, and whether it is time for a newer cloud model, as rows of text."""

from monitor.metrics import Metrics
from streams.watch.picture import Picture

Cells = tuple[str, ...]
ARMS = ("arm", "GAUC", "− base", "AUC", "lately − base, 95 %", "harmed", "calibration")
DRIFT = ("cloud model's age", "predictions", "log-loss")


def arms(picture: Picture) -> list[Cells]:
    """Each arm over all predictions and over the newest, the best first."""
    auc, gauc = (picture.by(metric, "arm") for metric in (Metrics.arm_auc, Metrics.arm_gauc))
    return [
        (
            picture.cloud if arm == "cloud" else arm,
            f"{gauc[arm]:.4f}",
            f"{gauc[arm] - gauc['cloud']:+.4f}" if "cloud" in gauc else "",
            f"{auc.get(arm, 0):.4f}",
            *lately(picture, arm, "all"),
        )
        for arm in sorted(gauc, key=lambda arm: -gauc[arm])
    ]


def lately(picture: Picture, arm: str, devices: str) -> Cells:
    """What an arm adds over the newest predictions, whom it harms, how well it is calibrated; "" where not known."""
    of = f"arm={arm},devices={devices}"
    harmed, off = (picture.series(each).get(of) for each in (Metrics.lately_harmed, Metrics.lately_calibration))
    gain = interval(picture, arm, devices)
    return gain, "" if harmed is None or not gain else f"{harmed:.0%}", "" if off is None else f"{off:.3f}"


def interval(picture: Picture, arm: str, devices: str) -> str:
    """GAUC minus the base's lately, with its bounds; "" where nothing is known."""
    series = picture.series(Metrics.lately_gain)
    low, mean, high = (series.get(f"arm={arm},devices={devices},bound={bound}") for bound in ("low", "mean", "high"))
    return "" if low is None or mean is None or high is None else f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"


def drift(picture: Picture) -> list[Cells]:
    """The cloud model's log-loss by the age of its version, from this age on."""
    losses, events = (picture.by(metric, "age") for metric in (Metrics.cloud_loss, Metrics.cloud_loss_events))
    return [(age, f"{n:,.0f}", f"{losses.get(age, 0) / n:.4f}") for age, n in events.items() if n]
