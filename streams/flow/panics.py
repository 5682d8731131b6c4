"""What Bytewax's worker threads say when they panic: two lines of Rust on standard error, and nothing to the caller."""

from io import TextIOBase
from typing import TextIO

_BEGINS = "panicked at "


class Panics(TextIOBase):
    """A standard error of a cluster's process that passes on everything but panics.

    Of those every process of the cluster has some when one is gone. Whoever runs the dataflow has its exception, and
    says in one line what is wrong.
    """

    def __init__(self, stderr: TextIO) -> None:
        self._stderr, self._line, self._message_follows = stderr, "", False

    def write(self, text: str) -> int:
        """Take text in whatever pieces it comes."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if not (_BEGINS in line or self._message_follows):
                self._stderr.write(line + "\n")
            self._message_follows = _BEGINS in line
        self._stderr.flush()
        return len(text)
