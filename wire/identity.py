"""Which cloud model something was made with: a version is not a number.

Two trainers both begin with version 1, and so does one whose topic was made anew: numbers alone would let vectors of
two models mix. A *lineage* is one line of versions, each trained on from the one before; the *digest* is that of the
bytes that travelled.
"""

from functools import lru_cache
from typing import Annotated

import msgspec
from xxhash import xxh3_64_intdigest

Hex = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{16})?$")]
Version = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]


class ModelId(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One version of one lineage: 16 hexadecimal digits, the number, and 16 digits of the SHA-256 of its message.

    `digest` is "" where a model has not travelled: in an evaluation, or a test.

    >>> str(ModelId("0123456789abcdef", 7, "fedcba9876543210"))
    'v7 of 0123456789abcdef (fedcba9876543210)'
    """

    lineage: Hex
    version: Version
    digest: Hex = ""

    @property
    def key(self) -> int:
        """63 bits that stand for it in columns and keys; 0 for no model."""
        return _key(self)

    def __str__(self) -> str:
        return f"v{self.version} of {self.lineage or 'no lineage'} ({self.digest or 'not sealed'})"


NO_MODEL = ModelId("", 0)


@lru_cache(64)  # of a few models that are in use at a time, asked for with every event
def _key(model: ModelId) -> int:
    return 0 if model == NO_MODEL else xxh3_64_intdigest(msgspec.msgpack.encode(model)) >> 1 or 1
