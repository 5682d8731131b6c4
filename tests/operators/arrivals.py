"""Arrivals and requests of users."""

from operators.decode import Arrival, Asked
from operators.user import MatchRules
from wire.moments import EventMs, WallMs

RULES = MatchRules(match_every=3, freshness_budget_ms=1000, lateness_ms=100)
NOW_MS = WallMs(5_000_000)


def arrival(sample: int, timestamp: int, label: int = 1, item: int = 0, user_id: str = "ann") -> Arrival:
    return Arrival(
        user_id=user_id,
        sample=sample,
        item=item or sample,
        category=7,
        label=label,
        timestamp=EventMs(timestamp),
        produced_ms=WallMs(NOW_MS + timestamp),
        raw=b"raw%d" % sample,
        partition=0,
        offset=sample,
    )


def asked_at(produced_ms: int, newest_seq: int = -1) -> Asked:
    return Asked("ann", WallMs(produced_ms), newest_seq)
