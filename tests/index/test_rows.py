"""Rows and keys on disk: nothing is lost on the way, and bytes sort like the window."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from index.rows import (
    PAYLOAD,
    PAYLOAD_ROW,
    encoded_row,
    pack_encoded,
    pack_floor,
    pack_keys,
    pack_payload,
    unpack_encoded,
    unpack_keys,
    unpack_payload,
    unpack_rows,
)
from index.window import Floor
from tests.index.samples import KEY_DIM, samples
from wire.identity import NO_MODEL

PLACES = st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1))


@given(st.lists(PLACES, min_size=1, max_size=20))
def test_keys_sort_like_places_and_come_back(places: list[tuple[int, int]]) -> None:
    timestamp, sample = np.array([t for t, _ in places], np.int64), np.array([s for _, s in places], np.uint64)
    keys = pack_keys(PAYLOAD, timestamp, sample)
    back = unpack_keys(PAYLOAD, keys)
    assert list(zip(back[0].tolist(), back[1].tolist(), strict=True)) == places
    assert [places[i] for i in np.argsort(np.array(keys, object), kind="stable")] == sorted(places)


@given(PLACES, PLACES)
def test_the_floor_is_just_above_its_own_place(floor: tuple[int, int], place: tuple[int, int]) -> None:
    (key,) = pack_keys(PAYLOAD, np.array([place[0]], np.int64), np.array([place[1]], np.uint64))
    assert (key >= pack_floor(PAYLOAD, Floor(*floor))) == (place > floor)


def test_samples_come_back_as_they_were() -> None:
    block = samples(range(50))
    payload = unpack_rows(PAYLOAD_ROW, pack_payload(block))
    encoded = unpack_rows(encoded_row(KEY_DIM), pack_encoded(block))
    plain = unpack_payload(block.timestamp, block.sample, payload)
    assert plain.logit is None and plain.match_key is None and plain.model == NO_MODEL
    back = unpack_encoded(plain, encoded, block.model)
    for name in block.__dataclass_fields__:
        mine, theirs = getattr(block, name), getattr(back, name)
        assert np.array_equal(mine, theirs) and getattr(mine, "dtype", None) == getattr(theirs, "dtype", None), name
