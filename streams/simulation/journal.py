"""What happened in a simulation, in order: every draw and every message, so that two runs of a seed can be compared."""

from itertools import zip_longest
from typing import NamedTuple

from xxhash import xxh3_64_hexdigest, xxh3_64_intdigest


class Entry(NamedTuple):
    """`who` did `what` at `ms`; messages are told by digests of their bytes."""

    ms: int
    who: str
    what: str

    def __str__(self) -> str:
        return f"{self.ms / 1000:.3f} s  {self.who}: {self.what}"


class Journal:
    """Entries in order."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def note(self, ms: int, who: str, what: str) -> None:
        """One more thing happened."""
        self.entries.append(Entry(ms, who, what))

    def message(self, ms: int, who: str, what: str, payload: bytes) -> None:
        """A message moved."""
        self.note(ms, who, f"{what} {xxh3_64_hexdigest(payload)}")

    @property
    def digest(self) -> str:
        """Of all entries."""
        return f"{xxh3_64_intdigest(repr(self.entries).encode()):016x}"


def first_difference(one: Journal, other: Journal) -> str:
    """Where two runs of one seed part; "" where they don't.

    >>> one, other = Journal(), Journal()
    >>> one.note(5, "network", "delay 3"); other.note(5, "network", "delay 4")
    >>> first_difference(one, other)
    'entry 0: 0.005 s  network: delay 3 | 0.005 s  network: delay 4'
    """
    for number, (mine, yours) in enumerate(zip_longest(one.entries, other.entries)):
        if mine != yours:
            return f"entry {number}: {mine} | {yours}"
    return ""
