"""Whose connection it is, and who is in a share of all devices: the same ones after each reconnect."""

from dataclasses import dataclass

from xxhash import xxh3_64_intdigest

from device_sim.topics import device_of

CONNECT_BYTES = 64 << 10  # a device's has some 200; a client that begins with more is none of them
_WILL = 0x04


@dataclass(frozen=True, slots=True)
class Devices:
    """Those whose place on a circle, by their id and `seed`, is in [low, high); or those in `only`."""

    low: float = 0.0
    high: float = 1.0
    seed: int = 0
    only: frozenset[str] | None = None

    def __contains__(self, device: str | None) -> bool:
        if device is None:
            return False
        if self.only is not None:
            return device in self.only
        return self.low <= place(device, self.seed) < self.high


def place(device: str, seed: int) -> float:
    """From 0 to 1, evenly spread over devices; another order for each seed."""
    return float(xxh3_64_intdigest(device.encode(), seed) / (1 << 64))


def packet_length(raw: bytes) -> int | None:
    """The length of the MQTT packet that `raw` begins with; None while that is not known, -1 for no packet.

    >>> packet_length(bytes([0x10, 3, 0, 0, 0]))
    5
    """
    length = 0
    for i, byte in enumerate(raw[1:5]):
        length |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return length + i + 2
    return -1 if len(raw) > 4 else None


def device_in_connect(raw: bytes) -> str | None:
    """The device that a CONNECT (MQTT 5) is from: its last will is on its presence. None: a fleet's or tunnel's own."""
    try:
        return _device_in(memoryview(raw))
    except (IndexError, UnicodeDecodeError, ValueError):
        return None


def _device_in(raw: memoryview) -> str | None:
    length, at = _number(raw, 1)
    if raw[0] != 0x10 or length > CONNECT_BYTES:
        return None
    _protocol, at = _text(raw, at)
    flags, at = raw[at + 1], at + 4
    size, at = _number(raw, at)
    _client, at = _text(raw, at + size)
    if not flags & _WILL:
        return None
    size, at = _number(raw, at)
    topic, _ = _text(raw, at + size)
    device, leaf = device_of(topic)
    return device if leaf == "presence" else None


def _number(raw: memoryview, at: int) -> tuple[int, int]:
    """A variable byte integer, and where it ends."""
    value = 0
    for i in range(4):
        value |= (raw[at + i] & 0x7F) << (7 * i)
        if raw[at + i] < 0x80:
            return value, at + i + 1
    raise ValueError("no variable byte integer")


def _text(raw: memoryview, at: int) -> tuple[str, int]:
    end = at + 2 + int.from_bytes(raw[at : at + 2])
    if end > len(raw):
        raise ValueError("cut off")
    return str(raw[at + 2 : end], "utf-8"), end
