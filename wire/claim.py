"""Who connects under a name: fleets and tunnels say it to others of their name (JSON)."""

import msgspec

LARGEST_BYTES = 1024


class Claim(msgspec.Struct, frozen=True, tag="claim"):
    """One run of a fleet or a tunnel; `boot` tells it from all others, `started_ms` is its wall clock at its start."""

    name: str
    boot: str
    started_ms: int


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Claim)


def encode_claim(claim: Claim) -> bytes:
    """The claim as JSON."""
    return _encoder.encode(claim)


def decode_claim(raw: bytes) -> Claim:
    """The claim in `raw`; raises `msgspec.DecodeError`."""
    if len(raw) > LARGEST_BYTES:
        raise msgspec.DecodeError(f"a claim of {len(raw)} bytes; at most {LARGEST_BYTES} can be one")
    return _decoder.decode(raw)
