"""The steps in which a candidate's numbers travel."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wire.grid import LOGITS, SIMILARITIES, Steps, decode_ages, encode_ages, rounded_age_s, unreadable

FINITE = np.arange(1 << 16).astype(np.uint16).view(np.float16)
FINITE = FINITE[np.isfinite(FINITE)]


@pytest.mark.parametrize(("steps", "each", "most"), [(LOGITS, 1 / 16, 127 / 16), (SIMILARITIES, 1 / 127, 1)])
def test_every_number_arrives_at_most_half_a_step_away(steps: Steps, each: float, most: float) -> None:
    wanted = np.clip(FINITE.astype(np.float64), -most, most)
    got = steps.decode(steps.encode(FINITE))
    assert np.abs(got - wanted).max() <= each / 2 + 2**-12, "and a float16's last digit"


@pytest.mark.parametrize("steps", [LOGITS, SIMILARITIES])
def test_what_arrived_is_sent_on_unchanged(steps: Steps) -> None:
    once = steps.decode(steps.encode(FINITE))
    assert steps.decode(steps.encode(once)).tolist() == once.tolist()


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_no_number(number: float) -> None:
    assert unreadable(LOGITS.encode(np.array([0, number, 9], np.float16))).tolist() == [False, True, False]


@given(st.integers(0, 2**32 - 1))
@example(2**32 - 1)
def test_an_age_arrives_no_larger_and_less_by_a_ninth_at_most(age_s: int) -> None:
    (got,) = decode_ages(encode_ages(np.array([age_s], np.uint32))).tolist()
    assert got == rounded_age_s(age_s)
    assert 8 / 9 * (age_s + 1) <= got + 1 <= age_s + 1
    assert decode_ages(encode_ages(np.array([got], np.uint32))).tolist() == [got]
