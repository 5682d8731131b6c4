"""The cloud's word when to come back: bounded, whoever wrote it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.malformed import Malformed
from wire.pace import MOST_S, Pace, decode_pace, encode_pace

NUMBERS = st.floats(allow_nan=False) | st.integers(-10, 4000).map(float)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_what_can_be_read_keeps_nobody_away_for_long(wait_s: float, spread_s: float, lasts_s: float) -> None:
    try:
        pace = decode_pace(encode_pace(Pace(wait_s, spread_s, lasts_s)))
    except Malformed:
        assert min(wait_s, spread_s, lasts_s) < 0 or max(wait_s + spread_s, lasts_s) > MOST_S
    else:
        assert 0 <= pace.wait_s + pace.spread_s <= MOST_S and 0 <= pace.lasts_s <= MOST_S


@pytest.mark.parametrize("raw", [b"", b"{}", b"[1]", b'{"format":"pace/1","wait_s":1,"spread_s":2}', b"x" * 2000])
def test_what_is_no_pace_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        decode_pace(raw)
