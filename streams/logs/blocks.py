"""The lines of a text file, plain or compressed, in blocks of a few MB."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from streams.logs.columns import Rejected
from wire.arrays import I64, Bool
from wire.errors import InputError

# Large enough that work per block is vectorised, small enough that the first events leave at once (ours).
_BLOCK_BYTES = 4 << 20
# A line beyond this is no event: it is rejected and not kept whole (ours).
_LINE_CHARS = 1 << 20
_COMPRESSION = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True)
class Block:
    """Consecutive lines: their numbers in the file, their text (blank where a line is rejected), and why some are."""

    numbers: I64
    texts: pl.Series
    rejected: tuple[Rejected, ...] = ()

    def __getitem__(self, lines: Bool) -> "Block":
        """Some of the lines, and all that are rejected."""
        return Block(self.numbers[lines], self.texts.filter(pl.Series(lines)), self.rejected)

    @property
    def written(self) -> Bool:
        """Which lines hold more than white space."""
        return (self.texts.str.strip_chars() != "").to_numpy()


def read_blocks(path: Path) -> Iterator[Block]:
    """The file's lines; raises `InputError` when it cannot be read to its end."""
    number, rest = 1, b""
    for chunk in _chunks(path):
        head, newline, tail = (rest + chunk).rpartition(b"\n")
        if newline:
            yield _block(head, number)
            number += head.count(b"\n") + 1
        rest = tail
    if rest:
        yield _block(rest, number)


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with pa.input_stream(str(path), compression=_COMPRESSION.get(path.suffix.lower())) as stream:
            first = stream.read(_BLOCK_BYTES)
            yield first.removeprefix(b"\xef\xbb\xbf")
            while chunk := stream.read(_BLOCK_BYTES):
                yield chunk
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read ({str(error).splitlines()[0]}): is it whole?") from error


def _block(lines: bytes, first: int) -> Block:
    texts, rejected = _decode(lines, first)
    column = pl.Series("raw", texts, pl.String).str.strip_chars_end("\r")
    return Block(np.arange(first, first + len(texts)), column, rejected)


def _decode(lines: bytes, first: int) -> tuple[list[str], tuple[Rejected, ...]]:
    """One text per line, blank where the line is rejected."""
    try:
        texts = lines.decode().split("\n")
        if max(map(len, texts)) <= _LINE_CHARS:
            return texts, ()
    except UnicodeDecodeError:
        pass  # some line is not UTF-8: find out which
    texts, rejected = [], []
    for number, line in enumerate(lines.split(b"\n"), first):
        text, why = _decode_line(line)
        texts.append(text)
        if why:
            rejected.append(Rejected(number, why, line[:_LINE_CHARS]))
    return texts, tuple(rejected)


def _decode_line(line: bytes) -> tuple[str, str]:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return "", "not UTF-8"
    return (text, "") if len(text) <= _LINE_CHARS else ("", f"longer than {_LINE_CHARS} characters")
