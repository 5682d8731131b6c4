"""Chance without a state: the same seed and words give the same draw, in whichever order they are asked for."""

from statistics import NormalDist

from xxhash import xxh3_64_intdigest

_NORMAL = NormalDist()


def uniform(seed: int, *words: object) -> float:
    """From above 0 to below 1, evenly.

    >>> uniform(1, "ann", 7) == uniform(1, "ann", 7) != uniform(2, "ann", 7)
    True
    """
    said = "\0".join(map(str, words)).encode()
    return (xxh3_64_intdigest(said, seed & (1 << 64) - 1) + 0.5) / (1 << 64)


def normal(seed: int, *words: object) -> float:
    """Mean 0, standard deviation 1."""
    return _NORMAL.inv_cdf(uniform(seed, *words))
