import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.errors import ConnectionFailed
from streams.demo import ports
from streams.demo.ports import free_ports

NAMES = ("flow", "fleet", "live")
CLIENTS = Path("/proc/sys/net/ipv4/ip_local_port_range")  # Linux only


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that would be found free if nobody listened on it."""
    port = free_ports(NAMES)["flow"]
    with socket.create_server(("127.0.0.1", port)):
        yield port


def test_each_name_has_a_port_of_its_own() -> None:
    found = free_ports(NAMES)
    assert tuple(found) == NAMES and len(set(found.values())) == len(NAMES)


def test_a_port_on_which_somebody_listens_is_passed_over(taken: int) -> None:
    assert taken not in free_ports(NAMES).values()


@pytest.mark.skipif(not CLIENTS.exists(), reason="tells which ports clients get")
def test_no_client_is_given_one_before_its_server_starts() -> None:
    first = int(CLIENTS.read_text().split()[0])
    assert max(free_ports(NAMES).values()) < first


def test_no_port_left_is_said(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_FIRST", taken)
    monkeypatch.setattr(ports, "_AFTER_LAST", taken + 1)
    with pytest.raises(ConnectionFailed, match="no 3 ports"):
        free_ports(NAMES)
