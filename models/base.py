"""The base: what the service's own model expected of an event, if it has one; what personal models add to."""

import numpy as np

from wire.arrays import F32

NONE = float("nan")  # the service said nothing


def bases(said: list[float | None]) -> F32:
    """What the service said of n events, as log-odds, `NONE` where it said nothing."""
    return np.array([NONE if each is None else each for each in said], np.float32)


def expected(base: F32, cloud: F32) -> F32:
    """The logits (n,) that personal models add to: the base, and the cloud model's logit where there is none.

    >>> expected(bases([0.5, None]), np.array([1, 2], np.float32)).tolist()
    [0.5, 2.0]
    """
    return np.where(np.isnan(base), cloud, base)
