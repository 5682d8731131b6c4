"""Moments: a user meets an item, and takes it or not."""

from typing import NamedTuple

from wire.arrays import I64, U8, U32, U64


class Moments(NamedTuple):
    """n of them in event-time order, as columns: keys (`wire.ids`), label, event time in Unix ms."""

    user: U64
    item: U32
    category: U32
    label: U8
    timestamp: I64

    def take(self, rows: slice | I64) -> "Moments":
        """Some of them."""
        user, item, category, label, timestamp = self
        return Moments(user[rows], item[rows], category[rows], label[rows], timestamp[rows])
