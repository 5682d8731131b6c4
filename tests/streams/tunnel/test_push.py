import pytest

from streams.bus import Message
from streams.tunnel.push import Push, PushQueue
from wire.malformed import Malformed
from wire.moments import WallMs
from wire.push_headers import BATCH_BYTES, PushHeaders

NOW_MS = WallMs(1_700_000_000_000)


def message(device: str = "ann", value: bytes = b"batch", matched_ms: int = NOW_MS, seq: int = 1) -> Message:
    headers = PushHeaders(seq, matched_ms, matched_ms, lineage="", version=1, digest="").encode()
    return Message("candidates", 2, 7, device.encode(), value, NOW_MS, headers)


def push(device: str, seq: int, nbytes: int = 10) -> Push:
    return Push.of(message(device, b"x" * nbytes, seq=seq), 1000, NOW_MS)


def test_a_push_knows_whose_it_is_where_it_came_from_and_until_when_it_is_of_use() -> None:
    one = Push.of(message(), 10_000, NOW_MS)
    assert (one.device, one.seq, one.partition, one.offset) == ("ann", 1, ("candidates", 2), 7)
    assert one.left_s(NOW_MS) == 10
    assert one.left_s(WallMs(NOW_MS + 9_001)) == 1, "rounded up"
    assert one.left_s(WallMs(NOW_MS + 10_000)) == 0


def test_a_batch_of_a_clock_that_is_ahead_is_kept_no_longer() -> None:
    assert Push.of(message(matched_ms=NOW_MS + 86_400_000), 10_000, NOW_MS).left_s(NOW_MS) == 10


@pytest.mark.parametrize("value", [b"", b"x" * (BATCH_BYTES + 1)])
def test_what_is_empty_or_too_large_is_no_push(value: bytes) -> None:
    with pytest.raises(Malformed):
        Push.of(message(value=value), 1000, NOW_MS)


def test_of_each_device_the_newest_waits_behind_those_who_waited_before() -> None:
    queue = PushQueue()
    for one in (push("ann", 1), push("bob", 1), push("ann", 2, nbytes=30)):
        queue.put(one)
    assert len(queue) == 2 and queue.nbytes == 40
    assert [(one.device, one.seq) for one in queue] == [("bob", 1), ("ann", 2)]
    assert queue.first().device == "bob" and queue.nbytes == 30
    assert queue.pop("eve") is None
    gone = queue.pop("ann")
    assert gone is not None and gone.seq == 2 and not len(queue) and queue.nbytes == 0
