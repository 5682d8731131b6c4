"""Own samples of many devices in columns, ready to train on."""

from dataclasses import dataclass, fields

from models.arrays import F32, I64, U8, U32, Bool


@dataclass(frozen=True, slots=True)
class OwnRows:
    """Own samples of devices 0 … G − 1 one after the other, each device's in time order.

    `held` marks the newest of each device: the acceptance test's, never trained on.
    """

    device: I64
    features: F32  # (r, 3d)
    label: U8
    item: U32
    category: U32
    held: Bool

    def __len__(self) -> int:
        return len(self.device)

    def take(self, rows: Bool | I64) -> "OwnRows":
        """Some of the rows."""
        return OwnRows(*(getattr(self, f.name)[rows] for f in fields(self)))
