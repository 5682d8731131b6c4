"""The envelope of what only the cloud may say: a document and an Ed25519 signature over its exact bytes (MessagePack).

Cloud models and tasks travel in it. A document begins with its own kind and format, so that a signed one of one kind
is never taken for another.
"""

from typing import Annotated

import msgspec

from wire.decoder import PackedDecoder

ENVELOPE_BYTES = 128  # tag and signature are 80, the lengths of both 9


class Signed(msgspec.Struct, frozen=True, array_like=True, tag="signed/1"):
    """A document as it travels."""

    document: bytes
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


def encode_signed(signed: Signed) -> bytes:
    """The envelope's bytes."""
    return msgspec.msgpack.encode(signed)


def signed_decoder(kind: str, document_bytes: int) -> PackedDecoder[Signed]:
    """Decodes envelopes of one kind of document, of at most so many bytes; it does not check the signature."""
    return PackedDecoder[Signed](kind, Signed, document_bytes + ENVELOPE_BYTES)
