from typing import Any

import pytest

from streams.tunnel.phase import LIMIT_MS, Opening
from tests.clock import HandClock
from wire.errors import ConnectionFailed


class Slow:
    """A broker, and its one client, which is connected when a test says so."""

    address = "nowhere:1883"
    connected = False

    def taken(self) -> list[Any]:
        return []


def test_a_client_has_ten_seconds_for_its_first_connection() -> None:
    clock, slow = HandClock(), Slow()
    unchecked: Any = slow
    opening = Opening(unchecked, unchecked, clock)
    clock.passes(LIMIT_MS)
    assert not opening.done()
    slow.connected = True
    clock.passes(1)
    assert opening.done()
    slow.connected = False
    with pytest.raises(ConnectionFailed, match="at nowhere:1883 accepts no subscriptions"):
        opening.done()
