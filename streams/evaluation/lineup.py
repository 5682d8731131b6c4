"""The names of arms, which of them are global (one model for everybody), and on what those of devices stand."""

from collections.abc import Mapping
from typing import TypeVar

from streams.base.names import BOOSTED, LOGGED, NOT_CLOUD, ON_CLOUD, ONLINE, POPULARITY, STALE
from wire.task import ARMS

_Value = TypeVar("_Value")
SCORE = ".score"  # ends the names of columns by which arms rank where that is not by their probabilities
REFRESHED = "-refreshed"  # ends the names of arms on the refreshed cloud model
REFRESHED_CLOUD = "cloud" + REFRESHED
RIVALS = (POPULARITY, *ON_CLOUD, ONLINE, BOOSTED)  # what `streams.evaluation.rivals` predicts with
GLOBAL = ("cloud", REFRESHED_CLOUD, LOGGED, *RIVALS)
FIRST_CLOUD = "cloud-first"  # the column of the first cloud model on such a base
# What personal models add to, by what --base calls it: a global arm. The one that a service would rather take is first.
BASES = {**{name: name for name in NOT_CLOUD}, STALE: "cloud", "refreshed": REFRESHED_CLOUD}
# How the names of arms end that stand on it.
ENDINGS = {**{name: f"-on-{name}" for name in NOT_CLOUD}, STALE: "", "refreshed": REFRESHED}
# In the order of reports.
ALL = (*ARMS, *GLOBAL[1:], *(arm + ending for ending in ENDINGS.values() if ending for arm in ARMS[1:]))


def called(base: str, arms: Mapping[str, _Value]) -> dict[str, _Value]:
    """Something of each arm of devices, the one that they add to by the name of what it is on `base`.

    >>> called("boosted", {"cloud": 0.64, "coda": 0.65})
    {'boosted': 0.64, 'coda': 0.65}
    """
    return {BASES[base] if arm == "cloud" else arm: value for arm, value in arms.items()}


def spoken(pair: str) -> str:
    """A pair's name as people read it.

    >>> spoken("coda-on-online-online"), spoken("coda-refreshed-cloud-refreshed")
    ('coda-on-online − online', 'coda-refreshed − cloud-refreshed')
    """
    return next((f"{arm} − {pair.removeprefix(f'{arm}-')}" for arm in ALL if pair.removeprefix(f"{arm}-") in ALL), pair)
