"""The lines of a text file, plain or compressed, in blocks of a few MB.

A line ends with LF, CR LF or CR, whichever the program that wrote it used. UTF-8 is read, and UTF-16 and UTF-32 with
a byte order mark.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from streams.logs.rejected import ROW_BYTES, Rejected, too_long
from wire.arrays import I64, Bool
from wire.errors import InputError

# Large enough that work per block is vectorised, small enough that the first events leave at once.
_BLOCK_BYTES = 4 << 20
# By the first two bytes; what pzstd writes begins with a frame to be skipped.
_COMPRESSION = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd", b"\x50\x2a": "zstd"}
_UNREAD = {b"BZ": "bzip2", b"\xfd7": "xz", b"PK": "zip (an Excel sheet is one, too)", b"\x04\x22": "lz4"}
_TEXT_BYTES = 512  # among so many bytes, what is packed has one that is in no text
_MARKS = {  # the longer first: UTF-32's begins with UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


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


NO_LINES = Block(np.array([], np.int64), pl.Series("raw", [], pl.String))


def read_blocks(path: Path) -> Iterator[Block]:
    """The file's lines; raises `InputError` when it cannot be read to its end."""
    number, rest, lost = 1, b"", 0  # `lost`: bytes of the open line that were let go, for it is too long anyway
    for chunk in _with_line_feeds(_decompressed(path)):
        lines, newline, tail = (rest + chunk).rpartition(b"\n")
        if newline:
            yield _block(lines, number, lost)
            number += lines.count(b"\n") + 1
            lost = 0
        rest = tail[: ROW_BYTES + 1]
        lost += len(tail) - len(rest)
    if rest:
        yield _block(rest, number, lost)


def first_sign(path: Path) -> str:
    """The first character that is no white space, "" where the file has none; raises `InputError` as `read_blocks`."""
    return next(_decompressed(path), b"").decode(errors="replace").lstrip()[:1]


def _decompressed(path: Path) -> Iterator[bytes]:
    """The file's bytes as UTF-8 without a mark."""
    try:
        with path.open("rb") as file:
            first = file.read(_TEXT_BYTES)
        if first[:2] in _UNREAD and not set(first).isdisjoint(b"\0\1\2\3\4\5\6"):
            raise InputError(f"{path} is packed as {_UNREAD[first[:2]]}: unpack it first, or save it as .csv")
        packed = _COMPRESSION.get(first[:2])
        with pa.input_stream(str(path), compression=packed) as stream:
            first = stream.read(_BLOCK_BYTES)
            encoding = next((name for mark, name in _MARKS.items() if first.startswith(mark)), None)
            chunks = _chunks(first, stream)
            yield from chunks if encoding is None else (text.encode() for text in codecs.iterdecode(chunks, encoding))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} begins as {error.encoding} but is not ({error.reason}): save it as UTF-8") from error
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} cannot be read ({str(error).splitlines()[0]}): is it whole? "
            "If it is damaged, unpack what there is and give that"
        ) from error


def _chunks(first: bytes, stream: pa.NativeFile) -> Iterator[bytes]:
    chunk = first
    while chunk:
        yield chunk
        chunk = stream.read(_BLOCK_BYTES)


def _with_line_feeds(chunks: Iterator[bytes]) -> Iterator[bytes]:
    held = b""  # a CR at the end of a chunk: perhaps half of a CR LF
    for chunk in chunks:
        whole = held + chunk
        held = whole[-1:] if whole.endswith(b"\r") else b""
        yield whole.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if held:
        yield b"\n"


def _block(lines: bytes, first: int, lost: int) -> Block:
    texts, rejected = _decode(lines, first, lost)
    return Block(np.arange(first, first + len(texts)), texts, rejected)


def _decode(lines: bytes, first: int, lost: int) -> tuple[pl.Series, tuple[Rejected, ...]]:
    """One text per line, blank where the line is rejected."""
    if b"\0" not in lines:
        try:
            texts = pl.Series("raw", lines.decode().split("\n"), pl.String)
            if texts.str.len_bytes().max() <= ROW_BYTES:  # type: ignore[operator]  # polars types it as any value
                return texts, ()
        except UnicodeDecodeError:
            pass  # some line is not UTF-8: find out which
    found, rejected = [], []
    for number, line in enumerate(lines.split(b"\n"), first):
        text, why = _decode_line(line, lost if number == first else 0)
        found.append(text)
        if why:
            rejected.append(Rejected.of(number, why, line))
    return pl.Series("raw", found, pl.String), tuple(rejected)


def _decode_line(line: bytes, lost: int) -> tuple[str, str]:
    if len(line) > ROW_BYTES:
        return "", too_long(len(line) + lost)
    if b"\0" in line:
        return "", "holds NUL bytes: damaged, or UTF-16 without a mark (save it as UTF-8)"
    try:
        return line.decode(), ""
    except UnicodeDecodeError:
        return "", "not UTF-8: convert the file, such as with `iconv -f latin1 -t utf-8`"
