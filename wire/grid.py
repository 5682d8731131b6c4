"""How finely a candidate's numbers travel: one byte each, in the steps that learning can tell apart.

A personal head learns from what is left of a label once its logit has been subtracted as a probability, which half a
step of a logit changes by less than .01. Ages are only counted and looked up. Everybody learns from what has travelled,
an evaluation too, so nobody sees more digits than a device.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wire.arrays import F16, U8, U32, Bool

LOGIT_STEPS = 16  # to 1; the largest logit is 127 / 16, a probability of .9996
SIMILARITY_STEPS = 127  # to 1
AGE_STEPS = 8  # to the doubling of an age and a second: 32 doublings are 136 years
_NO_NUMBER = 128  # the byte for −128
_MANTISSA_BITS = 52  # of a float64, whose first 3 say which of the 8 steps, as its exponent says which doubling
_EXPONENT_OF_1 = 1023
_BYTES = np.arange(256)


class Steps:
    """Float16 numbers in so many steps to 1 as bytes of an int8, −127 to 127, and −128 for what is not finite.

    `raw` has the byte of each number, by the number's bits.
    """

    def __init__(self, steps: int) -> None:
        every = np.arange(1 << 16).astype(np.uint16).view(np.float16).astype(np.float32)
        step = np.rint(np.clip(np.where(np.isfinite(every), every, 0) * steps, -127, 127))
        self.raw: U8 = np.where(np.isfinite(every), step, -_NO_NUMBER).astype(np.int8).view(np.uint8)
        self._number = (_BYTES.astype(np.uint8).view(np.int8) / steps).astype(np.float16)

    def encode(self, numbers: F16) -> U8:
        """The bytes of `numbers`: the nearest step, the last one for what is beyond."""
        raw: U8 = self.raw[numbers.view(np.uint16)]
        return raw

    def decode(self, raw: U8) -> F16:
        """The numbers that `encode` gives these bytes."""
        numbers: F16 = self._number[raw]
        return numbers


LOGITS = Steps(LOGIT_STEPS)
SIMILARITIES = Steps(SIMILARITY_STEPS)
_AGES_S = np.ceil(2.0 ** (_BYTES // AGE_STEPS) * (1 + _BYTES % AGE_STEPS / AGE_STEPS) - 1).astype(np.uint32)


def encode_ages(ages_s: NDArray[np.integer[Any]]) -> U8:
    """Ages from 0 seconds on as bytes: the eighths of doublings below age + 1."""
    step = ((ages_s + 1.0).view(np.int64) >> (_MANTISSA_BITS - 3)) - AGE_STEPS * _EXPONENT_OF_1
    raw: U8 = np.minimum(step, 255).astype(np.uint8)
    return raw


def decode_ages(raw: U8) -> U32:
    """The least age in seconds that has each byte: no more than the age was, and less by a ninth of age + 1 at most.

    >>> decode_ages(encode_ages(np.array([0, 7, 59, 3600, 86_400]))).tolist()
    [0, 7, 59, 3583, 81919]
    """
    ages_s: U32 = _AGES_S[raw]
    return ages_s


def rounded_age_s(age_s: int) -> int:
    """An age from 0 seconds on as it arrives: of age + 1, the four highest bits.

    >>> rounded_age_s(3600)
    3583
    """
    after = min(age_s + 1, 2**32 - 1)
    low = max(0, after.bit_length() - 4)
    return (after >> low << low) - 1


def unreadable(raw: U8) -> Bool:
    """Which bytes of `Steps` stand for no number, (n,)."""
    none: Bool = raw == _NO_NUMBER
    return none
