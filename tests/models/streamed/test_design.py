"""What makes a coordinate, said column by column: the oracle of what is done for all columns at once."""

import numpy as np
import pytest

from models.streamed.bins import Bins
from models.streamed.design import Design
from models.streamed.features import Seen, Streamed
from models.streamed.ftrl import BITS
from models.streamed.moments import Moments
from wire.arrays import F32


def mixed(number: int) -> int:
    """SplitMix64's finaliser, in Python's own numbers."""
    whole = 2**64 - 1
    number = (number + 0x9E3779B97F4A7C15) & whole
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & whole
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & whole
    return number ^ (number >> 31)


def coordinate(column: int, values: list[int]) -> int:
    hashed = column + 1
    for value in values:
        hashed = mixed(hashed) ^ value
    return mixed(hashed) >> (64 - BITS)


def seen(features: F32) -> Seen:
    rng, n = np.random.default_rng(0), len(features)
    item, category, last = (rng.integers(1, 2**32, n, dtype=np.uint32) for _ in range(3))
    user = rng.integers(1, 2**64, n, dtype=np.uint64)
    moments = Moments(user, item, category, np.zeros(n, np.uint8), np.arange(n))
    return Seen(moments, features, last, np.zeros((n, 10), np.uint32))


@pytest.mark.parametrize("impressions", [False, True])
def test_coordinates_are_hashes_of_a_column_and_of_what_its_parts_are(impressions: bool) -> None:
    streamed = Streamed(impressions=impressions)
    features = np.random.default_rng(1).normal(size=(40, len(streamed.names))).astype(np.float32)
    met, bins = seen(features), Bins(features)
    design = Design(streamed.names, bins, same=streamed.same, impressions=impressions)
    of = met.moments
    keys = [of.user, of.item, of.category, met.last_category]
    names = (*streamed.names, "user", "item", "category", "last_category")
    columns = [[int(each) for each in column] for column in (*bins.of(features).T, *keys)]
    value = dict(zip(names, columns, strict=True))
    alone = [(name,) for name in (*streamed.names, "category", *(["item"] if impressions else []))]
    found = design.of(met)
    assert found.shape[1] > len(alone), "and pairs"
    for column, (name,) in enumerate(alone):
        assert found[:, column].tolist() == [coordinate(column, [each]) for each in value[name]]
    (user_category,) = map(int, {*design.knowing({"user", "category"})} - {*design.knowing({"category"})})
    pairs = zip(value["user"], value["category"], strict=True)
    assert found[:, user_category].tolist() == [coordinate(user_category, [*pair]) for pair in pairs]
