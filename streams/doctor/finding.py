"""What was looked at, how it is, and what to do."""

from collections.abc import Callable
from typing import Literal

import msgspec

from wire.errors import CodaError

Word = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor's: a name, how it is, what was seen, and what to do unless it is ok."""

    name: str
    word: Word
    seen: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.word:<4}  {self.name}: {self.seen}" + (f"; {self.remedy}" if self.remedy else "")


def at_least(name: str, value: float, *, warn: float, fail: float, unit: str, remedy: str) -> Finding:
    """`value` held against two limits: below `warn` it may become too little, below `fail` it is."""
    word: Word = "fail" if value < fail else "warn" if value < warn else "ok"
    return Finding(name, word, f"{value:,.1f}".removesuffix(".0") + f" {unit}", remedy if word != "ok" else "")


def looked(name: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """What `look` finds; what it raises of ours is a failure in its own words."""
    try:
        return look()
    except CodaError as error:
        return [Finding(name, "fail", str(error))]
