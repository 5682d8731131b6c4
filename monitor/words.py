"""How a stage is, in one word with its rule: judged from a window of looks, without thresholds to tune.

After the rules of Burrow (LinkedIn's lag monitor): what counts is whether positions move and whether what is left
grows, not how much is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

WINDOW = 10  # looks that a word is judged from, one a second
# What can't be told from nothing left: a position is an epoch old, a look and a status a second each.
RESOLUTION_MS = 3_000
STEADY = 3  # looks of which one has to be caught up: a pause of a second or two is none
SILENT_MS = 4_000  # a process says something each second: three that did not come are no coincidence


class Word(StrEnum):
    """From good to bad."""

    FRESH = "FRESH"
    IDLE = "IDLE"
    BEHIND = "BEHIND"
    STALLED = "STALLED"
    DOWN = "DOWN"


@dataclass(frozen=True, slots=True)
class Look:
    """One stage, or one partition of it, at `at_ms`: `left` things to do of `end`, all before `until_ms` done."""

    at_ms: int
    position: int
    end: int
    until_ms: int

    @property
    def left(self) -> int:
        """How much there is to do."""
        return max(0, self.end - self.position)

    @property
    def caught_up(self) -> bool:
        """Whether nothing is left, or nothing that came before what can be told from now."""
        return not self.left or (self.until_ms > 0 and self.at_ms - self.until_ms <= RESOLUTION_MS)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A word, the rule that gave it, and the time until all is done, if that can be said."""

    word: Word
    rule: str
    left_s: float | None = None


def judge(window: Sequence[Look], silent_ms: int, *, ended: bool = False) -> Judgement:
    """The word for the newest `WINDOW` looks.

    `silent_ms` is how long its process has said nothing; `ended` whether it said goodbye.
    """
    if ended:
        return Judgement(Word.DOWN, "its process ended in order")
    if silent_ms >= SILENT_MS:
        return Judgement(Word.DOWN, f"its process is silent since {silent_ms / 1000:.0f} s")
    return _living(list(window)[-WINDOW:])


def _living(looks: Sequence[Look]) -> Judgement:
    """The word for a stage whose process is there."""
    if not looks:
        return Judgement(Word.IDLE, "nothing to do was ever seen")
    over = f"over {(looks[-1].at_ms - looks[0].at_ms) / 1000:.0f} s"
    moved, came = looks[-1].position - looks[0].position, max(0, looks[-1].end - looks[0].end)
    if any(look.caught_up for look in looks[-STEADY:]):
        if came or moved:
            return Judgement(Word.FRESH, f"{moved:,} done and {came:,} came {over}, and nothing old is left")
        return Judgement(Word.IDLE, f"nothing came {over}, and nothing is left")
    if not moved and len(looks) == WINDOW:
        return Judgement(Word.STALLED, f"{looks[-1].left:,} to do, and none done {over}")
    return _behind(looks, moved, came, over)


def _behind(looks: Sequence[Look], moved: int, came: int, over: str) -> Judgement:
    left, elapsed_s = looks[-1].left, (looks[-1].at_ms - looks[0].at_ms) / 1000
    said = f"{left:,} to do, {moved:,} done and {came:,} came {over}"
    if moved > came:
        return Judgement(Word.BEHIND, f"{said}: catching up", left * elapsed_s / (moved - came))
    return Judgement(Word.BEHIND, f"{said}: {'falling back' if came > moved else 'not catching up'}")
