import socket
from pathlib import Path

import pytest

from streams import ports
from streams.ports import free_ports
from wire.errors import ConnectionFailed

CLIENTS = Path("/proc/sys/net/ipv4/ip_local_port_range")  # Linux only


def test_no_port_comes_twice() -> None:
    assert len(set(free_ports(100))) == 100


@pytest.mark.skipif(not CLIENTS.exists(), reason="tells which ports clients get")
def test_no_client_is_given_one_before_its_server_starts() -> None:
    assert max(free_ports(100)) < int(CLIENTS.read_text().split()[0])


def test_a_port_on_which_somebody_listens_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = sorted(free_ports(2))
    monkeypatch.setattr(ports, "_NOT_FOR_CLIENTS", range(taken, free + 1, free - taken))
    with socket.create_server(("127.0.0.1", taken)):
        assert free_ports(1) == [free]
        with pytest.raises(ConnectionFailed, match="no 2 free ports"):
            free_ports(2)
