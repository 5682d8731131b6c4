"""Which worker a pool shard lands on: Bytewax routes a key by its hash, so shards get keys that spread evenly.

Keys taken as they are would put two shards of two workers on one of them every other time.
"""

from functools import lru_cache
from itertools import count

_MASK = (1 << 64) - 1
# The initial state of SipHash with an all-zero key (Aumasson & Bernstein, 2012).
_INITIAL = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


@lru_cache(maxsize=1024)
def shard_key(shard: int, workers: int) -> str:
    """The Bytewax key of a pool shard, which routes it to worker `shard % workers`.

    >>> [worker_of(shard_key(shard, workers=2), 2) for shard in range(4)]
    [0, 1, 0, 1]
    """
    keys = (f"{shard}.{salt}" for salt in count())
    return next(key for key in keys if worker_of(key, workers) == shard % workers)


def worker_of(key: str, workers: int) -> int:
    """The worker that Bytewax routes `key` to: SipHash-1-3 of the string as Rust hashes it, modulo workers."""
    return _siphash13(key.encode() + b"\xff") % workers


def _siphash13(data: bytes) -> int:
    state = _INITIAL
    padded = data + b"\0" * (7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v0, v1, v2, v3 = _round((state[0], state[1], state[2], state[3] ^ word))
        state = (v0 ^ word, v1, v2, v3)
    state = (state[0], state[1], state[2] ^ 0xFF, state[3])
    for _ in range(3):
        state = _round(state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _round(state: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    v0, v1, v2, v3 = state
    v0 = (v0 + v1) & _MASK
    v1 = _rotate(v1, 13) ^ v0
    v0 = _rotate(v0, 32)
    v2 = (v2 + v3) & _MASK
    v3 = _rotate(v3, 16) ^ v2
    v0 = (v0 + v3) & _MASK
    v3 = _rotate(v3, 21) ^ v0
    v2 = (v2 + v1) & _MASK
    v1 = _rotate(v1, 17) ^ v2
    v2 = _rotate(v2, 32)
    return v0, v1, v2, v3


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (64 - bits))) & _MASK
