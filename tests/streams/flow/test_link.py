import socket
from collections.abc import Iterator

import pytest

from streams.flow.link import BEAT_MS, SILENT_MS, End, Go, Link, LinkLost, Message
from tests.clock import HandClock

Pair = tuple[Link, Link, HandClock]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    clock = HandClock()
    links = Link(near, clock), Link(far, clock)
    yield *links, clock
    for link in links:
        link.close()


def heard(link: Link) -> list[Message]:
    found: list[Message] = []
    for _ in range(1000):
        if found := [*found, *link.look()]:
            break
    return found


def test_messages_arrive_whole_and_in_order(pair: Pair) -> None:
    one, other, _ = pair
    sent = [Go(str(number), number) for number in range(50)]
    for message in sent:
        one.send(message)
    found: list[Message] = []
    while len(found) < len(sent):
        found += other.look()
    assert found == sent


def test_two_that_have_nothing_to_say_stay_connected(pair: Pair) -> None:
    one, other, clock = pair
    for _ in range(60):
        clock.passes(BEAT_MS)
        assert one.look() == other.look() == []


def test_silence_is_noticed(pair: Pair) -> None:
    one, _, clock = pair
    clock.passes(SILENT_MS + 1)
    with pytest.raises(LinkLost, match="silent for 10 s"):
        one.look()


def test_an_end_is_noticed(pair: Pair) -> None:
    one, other, _ = pair
    one.send(End())
    one.close()
    assert heard(other) == [End()]
    with pytest.raises(LinkLost):
        heard(other)


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n", b'{"type":"nobody"}\n', b"x" * (1 << 21)])
def test_who_speaks_another_protocol_is_let_go(words: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as stranger:
        far, _ = server.accept()
        link = Link(far, HandClock())
        stranger.setblocking(False)
        with pytest.raises(LinkLost, match="it is no host of a dataflow"):
            while True:
                if words:
                    words = words[stranger.send(words[:10_000]) :]
                link.look()
        link.close()
