"""What a match found, laid out as it travels (`wire.batch`) in one pass over its rows.

`wire.batch.packed` makes the same bytes of columns, in some dozens of small steps that cost a dataflow half of what
compressing does, more where its caches are cold; but it needs no compiler, which a device has no room for.
"""

import numpy as np
from numpy.typing import NDArray

from index.compiled import compiled
from index.scored import BITS, Scored
from wire.arrays import U8
from wire.batch import columns_size
from wire.grid import AGE_STEPS, LOGITS, SIMILARITY_STEPS

_EIGHTH, _OF_1 = 49, 1023  # a float64's bits above the eighths of a doubling, and the exponent of 1
_HALF = 42  # a float64's bits below those of a float16


def laid_out(matched: Scored, random: Scored) -> U8:
    """The bytes of a batch's columns, to be `wire.batch.zipped`; scores of `matched` are finite."""
    raw = np.empty(columns_size(len(matched), len(random)), np.uint8)
    _lay_out(matched.rows.view(BITS), random.rows.view(BITS), LOGITS.raw, raw)
    return raw


@compiled
def _lay(rows: NDArray[np.void], first: int, logits: U8, raw: U8, n: int) -> None:
    """Write rows into the columns of n, from the `first` place on; `logits` has the bytes of float16 numbers."""
    keys = raw[: 8 * n].view(np.uint32)
    logit, age, times, label = raw[8 * n :], raw[9 * n :], raw[10 * n :], raw[11 * n :]
    for at in range(len(rows)):
        row, to = rows[at], first + at
        keys[2 * to], keys[2 * to + 1] = row.item, row.category
        logit[to] = logits[row.logit]
        bits = int(np.float64(row.age_s + 1.0).view(np.int64))
        age[to] = min((bits >> _EIGHTH) - AGE_STEPS * _OF_1, 255)
        times[to], label[to] = row.times, row.label


@compiled
def _step(score: float) -> int:
    """A similarity as it travels, rounded to a float16 before; where that has fewer bits, the step is 0 anyway."""
    bits = int(np.float64(score).view(np.int64))
    bits += (1 << (_HALF - 1)) - 1 + ((bits >> _HALF) & 1)  # half up, but to even ones
    half = np.int64(bits >> _HALF << _HALF).view(np.float64)
    return int(np.rint(min(max(half * SIMILARITY_STEPS, -127), 127)))


@compiled
def _lay_out(matched: NDArray[np.void], random: NDArray[np.void], logits: U8, raw: U8) -> None:
    """Write all columns: keys, logits, ages, times, labels and the similarities of what matched."""
    n = len(matched) + len(random)
    _lay(matched, 0, logits, raw, n)
    _lay(random, len(matched), logits, raw, n)
    similarity = raw[12 * n :].view(np.int8)
    for at in range(len(matched)):
        similarity[at] = _step(matched[at].score)
