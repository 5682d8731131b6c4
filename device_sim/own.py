"""Own samples of many devices in columns, ready to train on."""

from dataclasses import dataclass

from wire.arrays import F32, I64, U8, U32, Bool
from wire.columns import Columns


@dataclass(frozen=True, slots=True)
class OwnRows(Columns):
    """Own samples of devices 0 … G − 1 one after the other, each device's in time order.

    `x` are standardised item vectors, `logit` the cloud head's with what repeats add. `held` marks the newest of
    each device: the acceptance test's, not trained on before it is over.
    """

    device: I64
    x: F32  # (r, d)
    logit: F32
    label: U8
    item: U32
    category: U32
    held: Bool
