import numpy as np
import polars as pl
import pytest

from models.blend import most_harm
from streams.evaluation.harm import harm_of


def predictions(**users: list[tuple[float, float]]) -> pl.DataFrame:
    """All labels are 1; each user's events as (cloud's, coda's) probability, one user after the other."""
    rows = [(user, 1, cloud, coda) for user, events in users.items() for cloud, coda in events]
    return pl.DataFrame(rows, schema=["user_id", "label", "cloud", "coda"], orient="row")


def test_the_largest_excess_of_any_device_at_any_moment_is_found() -> None:
    table = predictions(ann=[(0.5, 0.25), (0.5, 0.25), (0.5, 1.0)], bob=[(0.5, 0.4)])
    for order in ([0, 1, 2, 3], [3, 0, 1, 2], [0, 3, 1, 2]):  # users' events come mixed
        harm = harm_of(table[order], 0.995)
        assert harm.worst_nats == pytest.approx(2 * np.log(2), abs=1e-5)
        assert harm.bound_nats == pytest.approx(most_harm(np.array([2]), 0.995)[0], abs=1e-5)
        assert (harm.devices, harm.over_bound) == (2, 0)


def test_a_device_that_loses_more_than_it_may_is_counted_once() -> None:
    lost = [(0.9, 0.01), (0.9, 0.01)]  # 4.5 nats each, where 3.93 and 3.95 are allowed
    harm = harm_of(predictions(ann=lost, bob=lost, eve=[(0.9, 0.9)]), 0.995)
    assert (harm.devices, harm.over_bound) == (3, 2)
    assert harm.bound_nats == pytest.approx(most_harm(np.array([2]), 0.995)[0], abs=1e-5)
