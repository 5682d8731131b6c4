"""The ledger of pushes: what became of every candidate batch handed to the tunnel (sans-I/O).

A push is one batch handed to the tunnel. It ends in exactly one outcome, and the first one stands:

* `acknowledged`: the device answered for it, whatever the answer was;
* `superseded`: a newer batch for the same device was handed over before an answer came, or the device
  answered for a newer one that another tunnel had pushed;
* `expired`: no answer came within its freshness budget, or before the tunnel was closed.

`pushes = acknowledged + superseded + expired + outstanding` holds after every call, and `close` leaves
nothing outstanding. A ledger lives as long as its process: each tunnel accounts for what it pushed itself,
and a new one starts at zero. `account` computes the totals of all tunnels, restarts and crashes included,
from what Kafka has.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

_FEW = 1000  # expiries: it is not worth while to look which of so few are of open pushes
ACKNOWLEDGED, SUPERSEDED, EXPIRED = "acknowledged", "superseded", "expired"


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of pushes by what became of them."""

    pushes: int
    acknowledged: int
    superseded: int
    expired: int
    outstanding: int

    @property
    def balanced(self) -> bool:
        """Whether every push is accounted for exactly once."""
        return self.pushes == self.acknowledged + self.superseded + self.expired + self.outstanding

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)


class _Open(NamedTuple):
    """A push without an outcome: of which batch, the how many-eth push, until when."""

    seq: int | None = None
    number: int = 0
    expires_ms: int = 0


_NONE = _Open()


@dataclass(slots=True)
class Ledger:
    """Pushes of one tunnel; all times are wall clock in ms and passed in.

    >>> ledger = Ledger()
    >>> ledger.pushed("ann", seq=1, expires_ms=1000)
    >>> ledger.pushed("ann", seq=2, expires_ms=1000)
    >>> ledger.acked("ann", seq=2)
    True
    >>> ledger.tally().as_dict()
    {'pushes': 2, 'acknowledged': 1, 'superseded': 1, 'expired': 0, 'outstanding': 0}
    """

    pushes: int = 0
    _ended: dict[str, int] = field(default_factory=lambda: dict.fromkeys((ACKNOWLEDGED, SUPERSEDED, EXPIRED), 0))
    _open: dict[str, _Open] = field(default_factory=dict)  # by device
    _expiries: list[tuple[int, int, str]] = field(default_factory=list)  # heap of (expires_ms, push number, device)

    def pushed(self, device: str, seq: int, expires_ms: int) -> None:
        """A batch was handed over; it supersedes the one still open for this device."""
        if device in self._open:
            self._end(device, SUPERSEDED)
        self.pushes += 1
        self._open[device] = _Open(seq, self.pushes, expires_ms)
        heapq.heappush(self._expiries, (expires_ms, self.pushes, device))
        if len(self._expiries) > max(_FEW, 2 * len(self._open)):
            self._expiries = [each for each in self._expiries if self._open.get(each[2], _NONE).number == each[1]]
            heapq.heapify(self._expiries)

    def acked(self, device: str, seq: int) -> bool:
        """A device answered for batch `seq`; whether that was the open push of this ledger.

        An answer for a newer batch than ours means that another tunnel superseded it; one for an older
        batch comes too late to change that batch's outcome.
        """
        newest = self.awaits(device)
        if newest is None or seq < newest:
            return False
        self._end(device, ACKNOWLEDGED if seq == newest else SUPERSEDED)
        return seq == newest

    def tick(self, now_ms: int) -> list[str]:
        """End the pushes whose budget is over at `now_ms`; their devices."""
        expired = []
        while self._expiries and self._expiries[0][0] <= now_ms:
            _, number, device = heapq.heappop(self._expiries)
            if self._open.get(device, _NONE).number == number:
                self._end(device, EXPIRED)
                expired.append(device)
        return expired

    def supersede(self, device: str) -> None:
        """Another tunnel takes over this device's open push, if there is one."""
        if device in self._open:
            self._end(device, SUPERSEDED)

    def awaits(self, device: str) -> int | None:
        """The batch whose outcome for this device is open, if there is one."""
        return self._open.get(device, _NONE).seq

    def unanswered(self) -> Iterator[tuple[str, int]]:
        """Devices that have not answered their push, and when it expires."""
        return ((device, push.expires_ms) for device, push in self._open.items())

    def close(self) -> None:
        """Stop waiting: what is outstanding counts as expired."""
        for device in list(self._open):
            self._end(device, EXPIRED)

    def tally(self) -> Tally:
        """The counts so far."""
        return Tally(self.pushes, **self._ended, outstanding=len(self._open))

    def _end(self, device: str, outcome: str) -> None:
        del self._open[device]
        self._ended[outcome] += 1


@dataclass(frozen=True, slots=True)
class Push:
    """One batch as Kafka `candidates` has it."""

    device: str
    seq: int
    expires_ms: int


def account(pushes: Sequence[Push], acks: Iterable[tuple[str, int]], now_ms: int) -> Tally:
    """The totals over all tunnels, from the batches and the (device, seq) answers that Kafka has.

    A device's batches are in the order in which they were handed over. Their numbers are not always: a dataflow
    whose clock was ahead, and which forgot its last number in a crash, goes on with lower ones.

    Duplicates (a batch pushed again after a crash, an ack sent twice) count once. A batch that was
    answered is acknowledged, even when the live ledger had already called it superseded: live
    counters cannot wait for a late answer, these totals can.

    >>> account([Push("ann", 1, 50), Push("ann", 2, 50), Push("bob", 1, 50)], [("ann", 2), ("ann", 2)], 60).as_dict()
    {'pushes': 3, 'acknowledged': 1, 'superseded': 1, 'expired': 1, 'outstanding': 0}
    """
    distinct = {(p.device, p.seq): p for p in pushes}
    last = {p.device: p.seq for p in pushes}
    answers = sorted(set(acks))
    highest = dict(answers)
    answered = distinct.keys() & set(answers)
    silent = [p for key, p in distinct.items() if key not in answered]
    waiting = [p for p in silent if p.seq == last[p.device] > highest.get(p.device, -1)]
    expired = sum(p.expires_ms <= now_ms for p in waiting)
    return Tally(len(distinct), len(answered), len(silent) - len(waiting), expired, len(waiting) - expired)
