"""Who connects under a name: fleets and tunnels say it to others of their name (JSON)."""

from typing import Annotated

import msgspec

from wire.decoder import FORMAT, JsonDecoder
from wire.event import Name

CLAIM_BYTES = 2 << 10  # two names and a number


class Claim(msgspec.Struct, frozen=True, tag_field=FORMAT, tag="claim/1"):
    """One run of a fleet or a tunnel; `boot` tells it from all others, `started_ms` is its wall clock at its start."""

    name: Name
    boot: Name
    started_ms: Annotated[int, msgspec.Meta(ge=0)]


_encoder = msgspec.json.Encoder()
_decoder = JsonDecoder[Claim]("claim", Claim, CLAIM_BYTES)


def encode_claim(claim: Claim) -> bytes:
    """The claim as JSON."""
    return _encoder.encode(claim)


def decode_claim(raw: bytes) -> Claim:
    """The claim in `raw`; raises `Malformed`."""
    return _decoder(raw)
