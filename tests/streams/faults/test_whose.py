import pytest

from streams.faults.whose import device_in_connect, packet_length
from tests.streams.faults.test_proxy import hello


def test_a_device_is_known_by_its_last_will() -> None:
    assert device_in_connect(hello("ann")) == "ann"


@pytest.mark.parametrize("raw", [b"", b"\x10", b"x" * 100, hello("ann")[:40], bytes([0x10, 0xFF, 0xFF, 0xFF, 0xFF])])
def test_anything_else_is_nobodys(raw: bytes) -> None:
    assert device_in_connect(raw) is None


def test_how_long_a_packet_is() -> None:
    raw = hello("ann")
    assert packet_length(raw) == packet_length(raw[:3]) == len(raw)
    assert packet_length(b"\x10") is None
    assert packet_length(b"\x10\xff\xff\xff\xff") == -1
