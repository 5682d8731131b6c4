"""The proxy with real sockets: what clients and the broker see of each fault."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from streams.faults import fate
from streams.faults.proxy import FaultProxy, Injection
from streams.faults.toxics import (
    Bandwidth,
    CutAfter,
    Down,
    HalfOpen,
    Hold,
    Latency,
    LimitData,
    Loss,
    Refuse,
    ResetPeer,
    Slicer,
    SlowClose,
    Toxic,
    Unplug,
)
from streams.faults.units import Share, Size
from streams.faults.whose import Devices, place
from streams.times import Duration


class Echo:
    """A server that sends back what comes, and remembers when its connections ended."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = ("127.0.0.1", self.listener.getsockname()[1])
        self.ended: list[float] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while chunk := connection.recv(65536):
                    connection.sendall(chunk)
            except OSError:
                pass
            self.ended.append(time.monotonic())


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.listener.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    with FaultProxy(echo.address) as running:
        yield running


def connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def hello(device: str) -> bytes:
    """The CONNECT of a device, as its client writes it."""
    ours, theirs = socket.socketpair()
    client = Client(CallbackAPIVersion.VERSION2, client_id=f"coda-fleet-{device}", protocol=MQTTv5)
    client.will_set(f"coda/devices/{device}/presence", b"{}", 1, True)
    client._create_socket = lambda: ours  # type: ignore[method-assign]
    client.connect("127.0.0.1", 1)
    client.loop_write()
    raw = theirs.recv(4096)
    ours.close()
    theirs.close()
    return raw


def round_trip_s(connection: socket.socket, payload: bytes = b"x") -> float:
    began = time.monotonic()
    connection.sendall(payload)
    left = len(payload)
    while left:
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionResetError
        left -= len(chunk)
    return time.monotonic() - began


def fastest_s(connection: socket.socket) -> float:
    """Of several round trips: on a busy machine any one may take long."""
    return min(round_trip_s(connection) for _ in range(10))


def inject(proxy: FaultProxy, toxic: Toxic, devices: Devices | None = None) -> Injection:
    injection = Injection(toxic, devices)
    proxy.inject(injection)
    return injection


def test_bytes_pass_unchanged(proxy: FaultProxy) -> None:
    payload = bytes(range(256)) * 4096
    with connect(proxy) as connection:
        threading.Thread(target=connection.sendall, args=(payload,)).start()
        got = b""
        while len(got) < len(payload):
            got += connection.recv(65536)
    assert got == payload


@pytest.mark.parametrize(
    ("toxic", "payload", "at_least_s"),
    [
        (Latency(delay=Duration(0.2), jitter=Duration(0.05)), b"x", 0.3),
        (Latency(direction="up", delay=Duration(0.2)), b"x", 0.2),
        (Bandwidth(rate=Size(100_000)), bytes(30_000), 0.3),
        (Slicer(direction="up", size=Size(100), delay=Duration(0.02)), bytes(1000), 0.18),
        (Loss(rate=Share(1), rto=Duration(0.1)), b"x", 0.9),
    ],
)
def test_what_slows_bytes_down_is_seen_and_ends(
    proxy: FaultProxy, toxic: Toxic, payload: bytes, at_least_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fate, "_LONGEST_STALL_S", 0.5)
    with connect(proxy) as connection:
        assert fastest_s(connection) < 0.1
        injection = inject(proxy, toxic)
        connection.settimeout(30)
        assert round_trip_s(connection, payload) >= at_least_s
        proxy.lift(injection)
        assert injection.effect.acted(toxic.stops)
        assert fastest_s(connection) < 0.1


@pytest.mark.parametrize(
    "toxic", [Down(), ResetPeer(after=Duration(0.1)), CutAfter(age=Duration(0.1)), LimitData(bytes=Size(3))]
)
def test_what_cuts_connections_cuts_them(proxy: FaultProxy, echo: Echo, toxic: Toxic) -> None:
    with connect(proxy) as connection:
        round_trip_s(connection)
        injection = inject(proxy, toxic)
        with pytest.raises(ConnectionError):
            for _ in range(100):
                round_trip_s(connection)
                time.sleep(0.01)
    assert injection.effect.cut == 1
    proxy.lift(injection)
    with connect(proxy) as connection:
        assert fastest_s(connection) < 0.1


def test_down_refuses_new_connections_of_its_devices_only(proxy: FaultProxy) -> None:
    injection = inject(proxy, Down(), Devices(only=frozenset({"ann"})))
    with connect(proxy) as ann, connect(proxy) as bob:
        with pytest.raises(ConnectionError):
            round_trip_s(ann, hello("ann"))
        assert round_trip_s(bob, hello("bob")) < 0.5
        assert proxy.devices() == {"bob"}
    assert (injection.effect.refused, injection.effect.cut) == (1, 0)


def test_a_share_is_of_the_same_devices_each_time() -> None:
    devices = [f"u{i}" for i in range(1000)]
    some = Devices(0.0, 0.3, seed=1)
    dropped = {device for device in devices if device in some}
    assert 250 < len(dropped) < 350
    assert dropped == {device for device in devices if place(device, 1) < 0.3}
    assert dropped != {device for device in devices if device in Devices(0.0, 0.3, seed=2)}


def test_held_bytes_pass_when_released(proxy: FaultProxy) -> None:
    with connect(proxy) as connection:
        injection = inject(proxy, Hold(direction="down"))
        connection.sendall(b"abc")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(10)
        proxy.lift(injection)
        assert connection.recv(10) == b"abc"
    assert injection.effect.blocked_bytes == 3


def test_what_is_unplugged_goes_on_when_plugged_in_and_so_does_who_tried_to_connect(
    proxy: FaultProxy,
) -> None:
    with connect(proxy) as old:
        round_trip_s(old)
        injection = inject(proxy, Unplug())
        old.sendall(b"abc")
        with connect(proxy) as gone:
            gone.sendall(b"I was never here")
        with connect(proxy) as new:
            new.sendall(b"hello")
            for connection in (old, new):
                connection.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    connection.recv(10)
            proxy.lift(injection)
            for connection, sent in ((old, b"abc"), (new, b"hello")):
                connection.settimeout(5)
                assert connection.recv(10) == sent
    assert injection.effect.blocked_bytes == len(b"abchelloI was never here")


def test_a_half_open_connection_stays_dead_and_nobody_is_told(proxy: FaultProxy, echo: Echo) -> None:
    with connect(proxy) as old:
        round_trip_s(old)
        injection = inject(proxy, HalfOpen())
        old.sendall(b"abc")
        with connect(proxy) as new:
            assert fastest_s(new) < 0.1, "connections begun later work"
        proxy.lift(injection)
        old.settimeout(0.3)
        with pytest.raises(TimeoutError):
            old.recv(10)
        before = len(echo.ended)
    time.sleep(0.2)
    assert len(echo.ended) == before, "the server does not hear that the client went"
    assert injection.effect.blocked_bytes == 3


def test_the_end_of_a_connection_comes_late(proxy: FaultProxy, echo: Echo) -> None:
    with connect(proxy) as connection:
        round_trip_s(connection)
        injection = inject(proxy, SlowClose(direction="up", delay=Duration(0.3)))
        closed_s = time.monotonic()
    while not echo.ended:
        time.sleep(0.01)
    assert echo.ended[0] - closed_s >= 0.29
    assert injection.effect.delayed == 1


def test_refused_clients_hear_why(proxy: FaultProxy) -> None:
    injection = inject(proxy, Refuse(code=135), Devices())
    with connect(proxy) as connection:
        connection.sendall(hello("ann"))
        assert connection.recv(10) == bytes([0x20, 3, 0, 135, 0])
    assert injection.effect.refused == 1


def test_a_fault_that_found_nobody_did_not_act(proxy: FaultProxy) -> None:
    injection = inject(proxy, Down())
    proxy.lift(injection)
    assert injection.effect.there == 0
    assert not injection.effect.acted(injection.toxic.stops)
