"""What goes from one process of the dataflow to another: pickled as MessagePack, in a third of the time or less.

Bytewax pickles all that crosses twice, to know its length first, and each object by itself.
"""

from collections.abc import Callable
from typing import Any

import msgspec

_pack = msgspec.msgpack.Encoder().encode


class Packed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A struct that crosses often.

    >>> from operators.shard import Work
    >>> import pickle
    >>> pickle.loads(pickle.dumps(Work(0, [], [])))
    Work(shard=0, samples=[], queries=[], waited=[])
    """

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[type, bytes]]:
        """Its type, and its fields as one run of bytes."""
        return _unpacked, (type(self), _pack(self))


def _unpacked(kind: type, raw: bytes) -> Any:
    return msgspec.msgpack.decode(raw, type=kind)
