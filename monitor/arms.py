"""How the arms compare, as figures that a report can show; who computes them knows the predictions."""

from collections.abc import Iterable

import msgspec


class ArmResult(msgspec.Struct, frozen=True, kw_only=True):
    """One arm over all predicted events; the intervals are of its GAUC minus the cloud arm's, paired over users.

    `harmed_share` is the share of users (of those with both labels) whose AUC lies below the cloud arm's by more
    than `.02`; None for the cloud arm itself.
    """

    auc: float
    gauc: float
    log_loss: float
    gauc_gain: float = 0.0
    gauc_gain_low: float = 0.0
    gauc_gain_high: float = 0.0
    harmed_share: float | None = None


class ArmsOverTime(msgspec.Struct, frozen=True, kw_only=True):
    """AUC and GAUC of each arm over all events predicted so far, at `predicted` events."""

    predicted: list[int]
    auc: dict[str, list[float]]
    gauc: dict[str, list[float]]


def device_arms(arms: Iterable[str]) -> str:
    """What the heads of device arms learn from, of a run with `arms`; "coarse" is among them with a sample classifier.

    >>> device_arms(["cloud", "coda"]).partition(", mpda")[0]
    "local trains on the device's own samples only, random adds random ones of the pool, coda adds matched ones"
    """
    classifier = any(arm.startswith("coarse") for arm in arms)
    weighs = ", coda weighs them by its classifier; these three add" if classifier else "; both add"
    return (
        "local trains on the device's own samples only, random adds random ones of the pool, "
        f"{'coarse' if classifier else 'coda'} adds matched ones, mpda those parts of them that keep the own samples' "
        f"AUC from falling{weighs} random ones too"
    )
