"""Text as programs write it: line ends, encodings, compression, damage."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from streams.logs.blocks import read_blocks
from streams.logs.rejected import ROW_BYTES, Rejected
from wire.errors import InputError

LINES = [f"line {n} é" for n in range(9)]


def read(path: Path, raw: bytes) -> tuple[dict[int, str], list[Rejected]]:
    """The lines that hold something, by number, and those that are rejected."""
    path.write_bytes(raw)
    blocks = list(read_blocks(path))
    numbered = [(n, t) for block in blocks for n, t in zip(block.numbers.tolist(), block.texts, strict=True) if t]
    return dict(numbered), [row for block in blocks for row in block.rejected]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_line_ends_and_encodings(end: str, encoding: str, tmp_path: Path) -> None:
    assert read(tmp_path / "a", end.join(LINES).encode(encoding)) == (dict(enumerate(LINES, 1)), [])


def test_line_ends_may_be_mixed_and_fall_between_two_chunks(tmp_path: Path) -> None:
    long = "x" * 50_000
    raw = "".join(f"{long}{end}" for end in ["\r\n", "\r", "\n"] * 60).encode()
    for shift in range(3):
        found, rejected = read(tmp_path / "a", b"y" * shift + raw)
        assert len(found) == 180 and not rejected


@pytest.mark.parametrize("pack", [gzip.compress, lambda raw: pa.compress(raw, codec="zstd", asbytes=True)])
def test_compression_is_told_by_content_and_may_have_several_parts(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    parts = ("\n".join(LINES[:4]) + "\n").encode(), "\n".join(LINES[4:]).encode()
    assert read(tmp_path / "a.csv", b"".join(map(pack, parts)))[0] == dict(enumerate(LINES, 1))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("é" * 700_000, "1400000 bytes long"),
        ("x" * 20_000_000, "20000000 bytes long"),
        ("a\0b", "NUL"),
        ("caf\udce9", "not UTF-8"),
    ],
)
def test_a_bad_line_is_rejected_alone_with_its_number_and_cut(bad: str, reason: str, tmp_path: Path) -> None:
    raw = "\n".join([*LINES[:4], bad, *LINES[5:]]).encode(errors="surrogateescape")
    found, ((line, why, kept),) = read(tmp_path / "a", raw)
    assert found == {n: text for n, text in enumerate(LINES, 1) if n != 5}
    assert line == 5 and reason in why
    assert kept == bad.encode(errors="surrogateescape")[:ROW_BYTES]


def test_what_pzstd_writes_is_read(tmp_path: Path) -> None:
    packed = pa.compress(b"a\nb\n", codec="zstd", asbytes=True)
    (tmp_path / "a.csv.zst").write_bytes(b"\x50\x2a\x4d\x18\4\0\0\0abcd" + packed)
    assert [text for block in read_blocks(tmp_path / "a.csv.zst") for text in block.texts] == ["a", "b"]


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_what_is_packed_otherwise_is_named(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(pack(b"user_id,item_id,label,timestamp\n" * 9))
    with pytest.raises(InputError, match=r"is packed as .*: unpack it first"):
        list(read_blocks(tmp_path / "a.csv"))
