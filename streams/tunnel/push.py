"""A push: one candidate batch on its way to a device, and the queue of those that wait (sans-I/O)."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from streams.bus import Message, Partition
from wire.malformed import Malformed
from wire.moments import WallMs
from wire.push_headers import BATCH_BYTES, PushHeaders, addressee
from wire.reason import Reason


@dataclass(frozen=True, slots=True)
class Push:
    """Where a batch came from, whose it is, and until when it is of use (wall clock, ms)."""

    partition: Partition
    offset: int
    device: str
    seq: int
    produced_ms: int
    expires_ms: int
    payload: bytes

    @classmethod
    def of(cls, message: Message, expiry_ms: int, now_ms: WallMs) -> "Push":
        """What becomes of a batch, from key and headers alone; raises `Malformed`."""
        headers, device = PushHeaders.decode(message.headers), addressee(message.key)
        if not message.value:
            raise Malformed("batch", Reason.MALFORMED, f"nothing in it for {device!r}")
        if len(message.value) > BATCH_BYTES:
            size = f"{len(message.value)} bytes for {device!r}, at most {BATCH_BYTES}"
            raise Malformed("batch", Reason.TOO_LARGE, size)
        return cls(
            partition=(message.topic, message.partition),
            offset=message.offset,
            device=device,
            seq=headers.seq,
            produced_ms=headers.produced_ms,
            expires_ms=min(headers.matched_ms, now_ms) + expiry_ms,
            payload=message.value,
        )

    def left_s(self, now_ms: WallMs) -> int:
        """How long it is still of use, rounded up: a broker may keep it a little longer than that, never shorter."""
        return -((now_ms - self.expires_ms) // 1000)


class PushQueue:
    """One push per device, the newest, in the order in which they came; `nbytes` of payload in all."""

    def __init__(self) -> None:
        self.nbytes = 0
        self._pushes: OrderedDict[str, Push] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pushes)

    def __iter__(self) -> Iterator[Push]:
        return iter(self._pushes.values())

    def put(self, push: Push) -> None:
        """Queue it, in place of an older one of its device."""
        self.pop(push.device)
        self._pushes[push.device] = push
        self.nbytes += len(push.payload)

    def pop(self, device: str) -> Push | None:
        """The device's push, which waits no more."""
        push = self._pushes.pop(device, None)
        self.nbytes -= len(push.payload) if push else 0
        return push

    def first(self) -> Push:
        """The one that waited longest, which waits no more."""
        push = self.pop(next(iter(self._pushes)))
        assert push is not None, "it was among them"
        return push
