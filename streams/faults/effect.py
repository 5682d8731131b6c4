"""What an injected fault was seen to do: evidence taken where it acted, not where it was ordered."""

import msgspec


class Effect(msgspec.Struct, kw_only=True):
    """Counts of one injection. `there` is how many connections it could have acted on.

    `delayed_s` is the sum of what chunks waited between being read and being written, measured.
    """

    there: int = 0
    cut: int = 0
    refused: int = 0
    chunks: int = 0
    delayed: int = 0
    delayed_s: float = 0.0
    blocked_bytes: int = 0
    seen: str = ""  # what was found of a process

    def acted(self, stops: bool) -> bool:
        """Whether it did what it is for: a fault that `stops` bytes cut, refused or blocked; others delayed."""
        if self.seen:
            return True
        return bool(self.cut or self.refused or self.blocked_bytes or (self.delayed and not stops))

    def words(self) -> str:
        """What there is to say, in one line.

        >>> Effect(there=3, cut=3, refused=1200).words()
        '3 connections cut, 1,200 refused'
        """
        parts = {
            f"{self.cut:,} connections cut": self.cut,
            f"{self.refused:,} refused": self.refused,
            f"{self.blocked_bytes:,} bytes blocked": self.blocked_bytes,
            f"{self.delayed:,} of {self.chunks:,} chunks late by {1000 * self.mean_delay_s:.0f} ms": self.delayed,
        }
        return self.seen or ", ".join(words for words, count in parts.items() if count) or "nothing"

    @property
    def mean_delay_s(self) -> float:
        """How long a delayed chunk waited."""
        return self.delayed_s / self.delayed if self.delayed else 0.0

    def add(self, other: "Effect") -> None:
        """Take in the counts of another injection of the same fault."""
        for name in ("there", "cut", "refused", "chunks", "delayed", "delayed_s", "blocked_bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.seen = self.seen or other.seen
