"""Probes: what would tell a sampled negative from its positive if the draw were unfair.

A probe is the chance that the positive has more of something than its own negative, ties counting half. Nothing that
was known before their moment may tell them apart without looking at who takes them: .5 is fair.
"""

from collections.abc import Callable

import msgspec
import numpy as np

from streams.logs.past import Past
from wire.arrays import I64

TELLS = 0.02  # from .5: so much would show in GAUC


class Probes(msgspec.Struct, frozen=True, kw_only=True):
    """The AUC of each probe over `pairs` of a positive and one of its negatives; .5 where there is none."""

    never_taken: float
    item_age: float
    fresh_popularity: float
    pairs: int

    @property
    def worst(self) -> float:
        """How far from .5 the one is that tells most."""
        return max(abs(auc - 0.5) for auc in (self.never_taken, self.item_age, self.fresh_popularity))

    def lines(self) -> list[str]:
        """What a person reads, with a warning where a probe tells."""
        told = (
            f"what tells a positive from its negatives (AUC, .5 is fair): never taken before {self.never_taken:.3f}, "
            f"item age {self.item_age:.3f}, fresh popularity {self.fresh_popularity:.3f}"
        )
        warning = (
            "warning: these negatives can be told by more than who takes them, so differences between arms are partly "
            "of the draw: use a log with real impressions, or a part of this one that drifts less"
        )
        return [told, warning] if self.worst > TELLS else [told]


def probes(past: Past, positive: I64, negative: I64) -> Probes:
    """The probes over pairs of rows of `past`: who took `positive` might have taken the item of `negative` then."""

    def chance(of: Callable[[I64, I64], I64]) -> float:
        mine, other = (of(past.item[row], positive) for row in (positive, negative))
        return round(float((mine > other).mean() + (mine == other).mean() / 2), 6) if len(positive) else 0.5

    return Probes(
        never_taken=chance(lambda item, row: (~past.known(item, row)).astype(np.int64)),
        item_age=chance(past.age_ms),
        fresh_popularity=chance(past.recent),
        pairs=len(positive),
    )
