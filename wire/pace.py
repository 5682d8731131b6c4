"""The cloud says when devices that lose their connection come back: pace steering (JSON).

Not signed: it can keep devices away for an hour at most, and whoever may write it can end their connections anyway.
"""

from typing import Annotated

import msgspec

from wire.decoder import FORMAT, JsonDecoder

PACE_BYTES = 1 << 10  # three numbers
MOST_S = 3600.0  # no device is kept away for longer, and no pace holds for longer
Seconds = Annotated[float, msgspec.Meta(ge=0, le=MOST_S)]


class Pace(msgspec.Struct, frozen=True, tag_field=FORMAT, tag="pace/1"):
    """Who loses its connection comes back after `wait_s`, and spread evenly over `spread_s`.

    Holds for `lasts_s` after it came.
    """

    wait_s: Seconds
    spread_s: Seconds
    lasts_s: Seconds


def _check(pace: Pace) -> str:
    return "" if pace.wait_s + pace.spread_s <= MOST_S else f"wait_s and spread_s are more than {MOST_S:.0f} s together"


_encoder = msgspec.json.Encoder()
_decoder = JsonDecoder[Pace]("pace", Pace, PACE_BYTES, check=_check)


def encode_pace(pace: Pace) -> bytes:
    """The pace as JSON."""
    return _encoder.encode(pace)


def decode_pace(raw: bytes) -> Pace:
    """The pace in `raw`; raises `Malformed`."""
    return _decoder(raw)
