"""Which worker a shard lands on: Bytewax routes a key by its hash, so shards get keys that spread evenly.

Keys taken as they are would put two shards of two workers on one of them every other time. A shard's key is the same
however many workers there are, since states are kept under it.
"""

from functools import lru_cache
from itertools import count
from math import lcm

_MASK = (1 << 64) - 1
# The initial state of SipHash with an all-zero key (Aumasson & Bernstein, 2012).
_INITIAL = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
# Shards spread evenly over as many workers as this is divisible by: 1 to 8, 10, 12, 14, 15, 16, 20, 21, 24 and so on.
# Of 9, 11, 13 and other numbers some get more shards than others, or none. To find a key takes so many tries, 1 ms for
# each hundred.
EVENLY = 1680


def shard_key(shard: int, shards: int) -> str:
    """The Bytewax key of one of so many shards; of `workers` that divide `EVENLY` it is on `shard % workers`.

    >>> [[worker_of(shard_key(shard, shards=6), workers) for shard in range(6)] for workers in (1, 2, 3)]
    [[0, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 1], [0, 1, 2, 0, 1, 2]]
    """
    return _key(shard, lcm(*range(1, shards + 1)) if shards <= 8 else EVENLY)  # never more workers than shards


def worker_key(worker: int, workers: int) -> str:
    """A Bytewax key that is routed to this worker of so many."""
    return _key(worker, workers)


def shards_of(worker: int, workers: int, shards: int) -> list[int]:
    """Which shards are on this worker.

    >>> shards_of(1, workers=2, shards=5)
    [1, 3]
    """
    if EVENLY % workers == 0:
        return list(range(worker, shards, workers))
    return [shard for shard in range(shards) if worker_of(shard_key(shard, shards), workers) == worker]


def worker_of(key: str, workers: int) -> int:
    """The worker that Bytewax routes `key` to: SipHash-1-3 of the string as Rust hashes it, modulo workers."""
    return _siphash13(key.encode() + b"\xff") % workers


@lru_cache(maxsize=4096)
def _key(number: int, workers: int) -> str:
    keys = (f"{number}.{salt}" for salt in count())
    return next(key for key in keys if worker_of(key, workers) == number % workers)


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
