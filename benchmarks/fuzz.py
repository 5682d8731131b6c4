"""Fuzzing the decoders: `python -m benchmarks.fuzz --inputs 100000`.

Every input is a golden message, mutated: bits flipped, cut, spliced with another, numbers blown up, brackets nested
thousands deep, lengths that promise gigabytes. Each must give a message or `Malformed`; anything else ends with exit
code 1 and the input. The slowest input and the memory of the whole run are printed beside what was refused.
"""

import argparse
import json
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.wire.messages import DECODERS, MESSAGES
from wire.malformed import Malformed

_NESTS = (b"[", b'{"a":', b"\x91", b"\x81\xa1a", b'[{"a":')
_BOMBS = (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\x7f\xff\xff\xff")
_NUMBERS = (b"NaN", b"-1", b"1e308", b"1e999", b"18446744073709551616", b"\xca\x7f\xc0\x00\x00")
_BYTES = (b"null", b'"\\ud800"', b"\x00", b"\xff", b'"', b"\\")


@dataclass
class Findings:
    """What became of the inputs of one decoder."""

    refused: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    slowest_ms: float = 0.0
    failure: str = ""


def mutated(raw: bytes, other: bytes, rng: random.Random) -> bytes:
    """`raw` after one to four mutations."""
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(7):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << rng.randrange(8)
            case 1:
                del changed[at:]
            case 2:
                del changed[at : at + rng.randint(1, 20)]
            case 3:
                changed[at:at] = rng.choice(_NESTS) * rng.choice((3, 40, 1500, 5000))
            case 4:
                changed[at : at + rng.randrange(6)] = rng.choice((*_BOMBS, *_NUMBERS, *_BYTES))
            case 5:
                changed[at:] = other[rng.randrange(len(other) + 1) :]
            case _:
                changed[at:at] = rng.randbytes(rng.randint(1, 16))
    return bytes(changed)


def fuzz(decode: Callable[[bytes], Any], seeds: list[bytes], inputs: int, seed: int) -> Findings:
    """Try `inputs` mutations of `seeds`; stops at the first that gives neither a message nor `Malformed`."""
    rng, found = random.Random(seed), Findings()
    for _ in range(inputs):
        raw = mutated(rng.choice(seeds), rng.choice(seeds), rng)
        began_s = time.perf_counter()
        try:
            decode(raw)
            found.accepted += 1
        except Malformed as refusal:
            found.refused[refusal.reason] += 1
        except BaseException as error:  # what the fuzzer looks for
            found.failure = f"{type(error).__name__}: {error}; input {raw[:2000].hex()}"
            return found
        found.slowest_ms = max(found.slowest_ms, (time.perf_counter() - began_s) * 1000)
    return found


def _nearest(name: str, files: Iterable[str]) -> str:
    """The golden file of a decoder: the one that shares the longest beginning with its name."""
    return max(files, key=lambda file: sum(file.startswith(name[:end]) for end in range(len(name) + 1)))


def main() -> None:
    """Fuzz every decoder and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000, help="for each decoder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    golden = {message.file: message.golden for message in MESSAGES}
    found = {}
    for name, decode in DECODERS.items():
        own = golden[_nearest(name, golden)]
        found[name] = fuzz(decode, [own] * len(golden) + list(golden.values()), given.inputs, given.seed)
        each = found[name]
        refused = ", ".join(f"{count:,} {reason}" for reason, count in each.refused.most_common())
        print(
            f"{name:22} {each.accepted:>7,} accepted, slowest {each.slowest_ms:6.1f} ms; refused: {refused}", flush=True
        )
        if each.failure:
            sys.exit(f"{name}: {each.failure}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak_mb:,.0f} MB")
    if given.json:
        rows = {name: {"accepted": each.accepted, "refused": each.refused} for name, each in found.items()}
        given.json.write_text(json.dumps({"inputs": given.inputs, "peak_mb": peak_mb, "decoders": rows}) + "\n")


if __name__ == "__main__":
    main()
