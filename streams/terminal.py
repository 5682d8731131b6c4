"""Standard streams that can't be written as they are: one that is closed, or has an encoding without our signs."""

import codecs
import os
import sys

# What text of ours holds beyond ASCII, as it is written where an encoding lacks it.
_PLAIN = {
    "…": "...",
    "–": "-",
    "—": "-",
    "−": "-",
    "·": "-",
    "→": "->",
    "≥": ">=",
    "≤": "<=",
    "±": "+-",
    "✔": "+",
    "▶": ">",
    "○": "o",
}
_MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}


def mend_streams() -> None:
    """Let every text through to standard output and error, in plain ASCII where need be; a closed one takes all.

    A closed stream leaves its number free: the next file that is opened would get it, and with it what is printed.
    """
    codecs.register_error("coda", _as_plain)
    for number, (name, mode) in enumerate(_MODES.items()):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="coda")  # type: ignore[union-attr]  # both are text files here


def say(line: str) -> None:
    """Tell a person: on standard error, at once."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def _as_plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(_PLAIN.get(sign, "?") for sign in error.object[error.start : error.end]), error.end
