"""The cloud model's message: one run of bytes on Kafka, over MQTT and on disk.

    8 B   "model/5\\n": kind and format
    32 B  SHA-256 of everything behind it, as it travels
    4 B   length of the manifest, big-endian
          manifest (JSON), then the tensors (safetensors)

What the tensors mean is the business of `models.artefact`; here they are whole, finite and of a sane size.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from wire.decoder import FORMAT, JsonDecoder, one_line
from wire.event import TimestampMs
from wire.identity import Hex, ModelId, Version
from wire.malformed import Malformed
from wire.reason import Reason

_KIND, _TAG = "model", "model/5"
_MAGIC = f"{_TAG}\n".encode()
_DIGEST_BYTES, _LENGTH_BYTES = 32, 4
_BODY = len(_MAGIC) + _DIGEST_BYTES
MESSAGE_BYTES = 64 << 20  # 68 B an item: room for 900,000 of them
MANIFEST_BYTES = 16 << 10
MOST_REPLACED = 256  # lineages, 19 B each in the manifest
MOST = 1e6  # no parameter is larger: products of three of them stay far from where float32 overflows

Tensors = Mapping[str, NDArray[Any]]


class Manifest(msgspec.Struct, frozen=True, tag_field=FORMAT, tag=_TAG):
    """What is known of a model beside its tensors; `trained_until` is event time (ms).

    `replaces` are the lineages whose place this one takes on purpose (`wire.succession`), the newest first.
    """

    lineage: Hex
    version: Version
    trained_until: TimestampMs
    dims: dict[str, int]
    metrics: dict[str, float]
    replaces: Annotated[tuple[Hex, ...], msgspec.Meta(max_length=MOST_REPLACED)] = ()


class ModelMessage(msgspec.Struct, frozen=True):
    """A model as it travelled."""

    manifest: Manifest
    tensors: Tensors
    digest: str

    @property
    def id(self) -> ModelId:
        """Which model it is."""
        return ModelId(self.manifest.lineage, self.manifest.version, self.digest)


_manifest = JsonDecoder[Manifest](_KIND, Manifest, MANIFEST_BYTES)


def encode_model(manifest: Manifest, tensors: Tensors) -> bytes:
    """The model as one message."""
    first = msgspec.json.encode(manifest)
    return sealed(len(first).to_bytes(_LENGTH_BYTES, "big") + first + save(dict(tensors)))


def sealed(body: bytes) -> bytes:
    """What comes behind the digest, with what comes before it."""
    return _MAGIC + hashlib.sha256(body).digest() + body


def body_of(raw: bytes) -> bytes:
    """What comes behind the digest in a model's message."""
    return raw[_BODY:]


def digest_of(raw: bytes) -> str:
    """The digest of the model in a message that `encode_model` made."""
    return raw[len(_MAGIC) : _BODY].hex()[:16]


def decode_model(raw: bytes) -> ModelMessage:
    """The model in `raw`; raises `Malformed` when it is cut, altered, of another format or not finite."""
    manifest, ends = _opened(raw)
    return ModelMessage(manifest, _tensors(raw[ends:]), digest_of(raw))


def identify_model(raw: bytes) -> tuple[ModelId, tuple[str, ...]]:
    """Which model is in `raw`, and the lineages it replaces; raises `Malformed`, but for bad tensors."""
    manifest, _ = _opened(raw)
    return ModelId(manifest.lineage, manifest.version, digest_of(raw)), manifest.replaces


def _opened(raw: bytes) -> tuple[Manifest, int]:
    """The manifest of a whole message, and where it ends."""
    if len(raw) > MESSAGE_BYTES:
        raise Malformed(_KIND, Reason.TOO_LARGE, f"{len(raw)} bytes, at most {MESSAGE_BYTES}")
    if not raw.startswith(_MAGIC):
        began = one_line(repr(raw[: len(_MAGIC)]))
        raise Malformed(_KIND, Reason.UNKNOWN_FORMAT, f"{len(raw)} bytes begin with {began}, not with {_TAG}")
    body = body_of(raw)
    if hashlib.sha256(body).digest() != raw[len(_MAGIC) : _BODY]:
        raise Malformed(_KIND, Reason.DAMAGED, f"its {len(raw)} bytes do not match their sha256: publish it again")
    ends = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "big")
    return _manifest(body[_LENGTH_BYTES:ends]), _BODY + ends


def _tensors(raw: bytes) -> Tensors:
    try:
        tensors = load(raw)
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise Malformed(_KIND, Reason.MALFORMED, f"no safetensors: {one_line(str(error))}") from None
    for name, tensor in tensors.items():
        if tensor.dtype.kind not in "fu" or (tensor.dtype.kind == "f" and not _sane(tensor)):
            raise Malformed(_KIND, Reason.MALFORMED, f"{one_line(name)} has numbers that are not finite, or too large")
    return tensors


def _sane(tensor: NDArray[Any]) -> bool:
    return bool((np.abs(tensor.astype(np.float64, copy=False)) <= MOST).all())
