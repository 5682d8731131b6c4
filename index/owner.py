"""Whose a folder of one shard is: it is of no use to another shard, nor to another state of a dataflow."""

import msgspec


class Owner(msgspec.Struct, frozen=True, array_like=True):
    """A shard, of so many, of the state that has this name."""

    shard: int
    shards: int
    state: str

    def difference(self, other: "Owner") -> str:
        """In what `other` is not this, in words; "" when it is the same.

        >>> Owner(0, 2, "a").difference(Owner(1, 2, "a")), Owner(0, 2, "a").difference(Owner(1, 2, "b"))
        ('is that of shard 1 of 2', 'is that of another state')
        """
        if self.state != other.state:
            return "is that of another state"
        return "" if self == other else f"is that of shard {other.shard} of {other.shards}"
