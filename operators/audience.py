"""One item's audience: its samples go on to the pool once enough users took it.

What one person alone takes could say who that person is. So the samples of an item wait until `min_users` of its users
took it, and then all go on; who took what is forgotten with that. What waits in the end does not depend on the order in
which partitions and workers were read, so that a run that was disturbed fills the pool as one that was not.

A state holds at most `min_users` keys of 8 bytes and `MOST_WAITING` samples, and then one flag.
"""

from collections.abc import Sequence

import msgspec

from wire.sample import SampleRecord

MOST_WAITING = 64  # samples of one item, 20 kB: of more, the newest, as the pool would keep


class _AtRest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    item: int
    takers: list[int]
    enough: bool
    waiting: list[SampleRecord]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_AtRest)


class Audience:
    """One item's: who took it so far, until they are enough, and its samples that wait for that."""

    __slots__ = ("_takers", "enough", "item", "waiting")

    def __init__(self, item: int) -> None:
        self.item = item
        self._takers: set[int] = set()
        self.enough = False
        self.waiting: list[SampleRecord] = []

    def overdue(self, min_users: int) -> bool:
        """Whether samples wait that so many users let go on."""
        return bool(self.waiting) and len(self._takers) >= min_users

    def admit(self, samples: Sequence[SampleRecord], min_users: int) -> Sequence[SampleRecord]:
        """Those of these samples, and of the waiting ones, that go on."""
        if self.enough:
            return samples
        self._takers.update(sample.user for sample in samples if sample.label)
        self.waiting.extend(samples)
        if len(self._takers) < min_users:
            self._forget()
            return []
        going, self.waiting = self.waiting, []
        self.enough = True
        self._takers.clear()
        return going

    def snapshot(self) -> bytes:
        """The state, saved at once: Bytewax may pickle what it is given only after the next sample."""
        return _encoder.encode(_AtRest(self.item, sorted(self._takers), self.enough, self.waiting))

    @classmethod
    def restore(cls, raw: bytes) -> "Audience":
        """The state that `snapshot` gave."""
        rest, audience = _decoder.decode(raw), cls.__new__(cls)
        audience.item = rest.item
        audience._takers, audience.enough, audience.waiting = set(rest.takers), rest.enough, rest.waiting
        return audience

    def _forget(self) -> None:
        """Let the oldest go where too many wait."""
        if (left := len(self.waiting) - MOST_WAITING) > 0:
            self.waiting.sort(key=lambda sample: (sample.timestamp, sample.sample))
            del self.waiting[:left]
