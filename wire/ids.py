"""Numbers for names: users, items, categories and samples become fixed-width keys.

Hot paths are columns of numbers, and a device must be able to name an item without a vocabulary.
32 bits for items and categories keep a candidate small: among 1,000,000 items about
1e6**2 / 2 / 2**32 = 116 pairs share a key, which costs those pairs a shared embedding and no more.
Users and samples get 64 bits, because there a collision would hide data.
"""

from collections.abc import Sequence
from urllib.parse import quote, unquote

import numpy as np
from xxhash import xxh3_64_intdigest, xxh32_intdigest

from wire.arrays import U32, U64

NO_KEY = 0  # pads histories; never the key of anything


def item_key(name: str) -> int:
    """The 32-bit key of an item or category name, never `NO_KEY`.

    >>> item_key("movie-1") == item_key("movie-1") != item_key("movie-2")
    True
    """
    return xxh32_intdigest(name.encode()) or 1


def user_key(name: str) -> int:
    """The 64-bit key of a user or device name."""
    return xxh3_64_intdigest(name.encode()) or 1


def sample_key(event_id: str) -> int:
    """The 64-bit key of an event and of the sample made from it."""
    return xxh3_64_intdigest(event_id.encode()) or 1


def item_keys(names: Sequence[str]) -> U32:
    """Keys of many item or category names, shape (n,)."""
    return np.fromiter(map(item_key, names), np.uint32, len(names))


def user_keys(names: Sequence[str]) -> U64:
    """Keys of many user names, shape (n,)."""
    return np.fromiter(map(user_key, names), np.uint64, len(names))


def mix(keys: U64) -> U64:
    """SplitMix64's finaliser: neighbouring keys end up far apart (Steele, Lea, Flood 2014)."""
    z = keys + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: U64 = z ^ (z >> np.uint64(31))
    return mixed


def topic_part(user_id: str) -> str:
    """A user id as one level of an MQTT topic: no separators, no wildcards.

    >>> topic_part("a/b+c")
    'a%2Fb%2Bc'
    """
    return quote(user_id, safe="")


def from_topic_part(part: str) -> str:
    """The user id behind one level of an MQTT topic."""
    return unquote(part)
