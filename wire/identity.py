"""Which cloud model something was made with: a version is not a number.

Two trainers both begin with version 1, and so does one whose topic was made anew: numbers alone would let vectors of
two models mix. A *lineage* is one line of versions, each trained on from the one before; the *digest* is that of the
bytes that travelled.
"""

from typing import Annotated

import msgspec

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

    def __str__(self) -> str:
        return f"v{self.version} of {self.lineage or 'no lineage'} ({self.digest or 'not sealed'})"


NO_MODEL = ModelId("", 0)
