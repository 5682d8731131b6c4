"""Arms of devices that a fault was about beside those of all others."""

import polars as pl
import pytest

from streams.faults.personalisation import beside_the_others
from wire.task import ARMS

PREDICTIONS = pl.DataFrame(
    {"user_id": ["ann", "ann", "bob", "bob"], "label": [0, 1, 0, 1]} | {arm: [0.1, 0.9, 0.9, 0.1] for arm in ARMS}
)


def test_devices_that_were_hit_stand_beside_the_others() -> None:
    arms = beside_the_others(PREDICTIONS, lambda _users: ["ann"], seed=0)
    assert {whose: found["coda"].gauc for whose, found in arms.items()} == {"devices hit": 1, "the others": 0}


@pytest.mark.parametrize("hit", [[], ["ann", "bob"]])
def test_where_none_or_all_were_hit_there_is_nobody_to_compare_them_with(hit: list[str]) -> None:
    assert beside_the_others(PREDICTIONS, lambda _users: hit, seed=0) == {}
