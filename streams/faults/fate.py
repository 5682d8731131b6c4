"""What becomes of each chunk of bytes that passes a link with faults: decided here, done by the proxy (sans-I/O)."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.faults.toxics import Bandwidth, CutAfter, HalfOpen, Latency, LimitData, Loss, ResetPeer, Slicer, Toxic

_LONGEST_STALL_S = 6.4  # TCP doubles its timeout further; a link that loses so much is as good as down


@dataclass(frozen=True, slots=True)
class Slice:
    """So many bytes pass at `due_s`."""

    nbytes: int
    due_s: float


@dataclass(frozen=True, slots=True)
class Fate:
    """What passes and when, in order, and whether the connection ends after it."""

    slices: tuple[Slice, ...]
    cut: bool = False


@dataclass(slots=True)
class Lane:
    """One direction of one connection, and what it remembers from chunk to chunk.

    >>> from streams.faults.units import Size
    >>> lane = Lane(random.Random(0))
    >>> lane.send(1000, [Bandwidth(rate=Size(500))], now_s=1.0).slices
    (Slice(nbytes=1000, due_s=3.0),)
    """

    rng: random.Random
    _free_s: float = 0.0  # when the bytes before have passed
    _last_s: float = 0.0  # bytes of one connection never overtake each other
    _passed: dict[int, int] = field(default_factory=dict)  # by toxic: bytes since it applies
    _lossy: bool = False  # whether the last one was lost

    def send(self, nbytes: int, toxics: Sequence[Toxic], now_s: float) -> Fate:
        """The fate of a chunk that came at `now_s`."""
        left = nbytes
        for toxic in toxics:
            if isinstance(toxic, LimitData):
                before = self._passed.get(id(toxic), 0)
                left = min(left, max(0, toxic.bytes - before))
                self._passed[id(toxic)] = before + left
        slices, due_s = [], now_s
        for size, apart_s in self._sliced(left, toxics):
            due_s += apart_s
            self._last_s = self._delayed(size, toxics, due_s)
            slices.append(Slice(size, self._last_s))
        return Fate(tuple(slices), cut=left < nbytes)

    def _sliced(self, nbytes: int, toxics: Sequence[Toxic]) -> list[tuple[int, float]]:
        slicer = next((t for t in toxics if isinstance(t, Slicer)), None)
        if slicer is None:
            return [(nbytes, 0.0)] if nbytes else []
        sizes: list[tuple[int, float]] = []
        while nbytes > 0:
            size = min(nbytes, max(1, slicer.size + self.rng.randint(-slicer.variation, slicer.variation)))
            sizes.append((size, slicer.delay if sizes else 0.0))
            nbytes -= size
        return sizes

    def _delayed(self, nbytes: int, toxics: Sequence[Toxic], at_s: float) -> float:
        for toxic in toxics:
            if isinstance(toxic, Bandwidth):
                self._free_s = max(self._free_s, at_s) + nbytes / toxic.rate
                at_s = self._free_s
            elif isinstance(toxic, Latency):
                at_s += max(0.0, toxic.delay + self.rng.uniform(-toxic.jitter, toxic.jitter))
            elif isinstance(toxic, Loss):
                at_s += self._stall_s(toxic)
        return max(at_s, self._last_s)

    def _stall_s(self, loss: Loss) -> float:
        """How long the chunk takes longer, being lost again and again until it passes."""
        stall_s, times = 0.0, 0
        while stall_s < _LONGEST_STALL_S and self.rng.random() < self._chance(loss):
            stall_s += loss.rto * 2.0**times
            times, self._lossy = times + 1, True
        self._lossy = times > 0
        return min(stall_s, _LONGEST_STALL_S)

    def _chance(self, loss: Loss) -> float:
        return loss.correlation * self._lossy + (1 - loss.correlation) * loss.rate


def ends_at(toxic: Toxic, opened_s: float, applied_s: float, rng: random.Random) -> float | None:
    """When a connection ends because of `toxic`; None when it does not by itself."""
    if isinstance(toxic, ResetPeer):
        return max(opened_s, applied_s) + toxic.after
    if isinstance(toxic, HalfOpen):
        return max(opened_s, applied_s) + toxic.after if toxic.after else None
    if isinstance(toxic, CutAfter):
        return max(opened_s, applied_s) + max(0.0, toxic.age + rng.uniform(-toxic.jitter, toxic.jitter))
    return None
