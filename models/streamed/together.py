"""Together: which items the same people take, one after the other."""

from collections.abc import Sequence

import numpy as np

from models.streamed.decayed import Decayed
from models.streamed.rest import Rest
from wire.arrays import F64, I64, U32, U64
from wire.ids import NO_KEY, mix

SPANS = (3, 5)  # of `models.streamed.counts.HALF_LIVES_MS`: a day, 60 days
_BITS = 21  # 2 million cells: 32 MB of two sketches at two half-lives, which 4 million live pairs fill twice over
_RARE = 5.0  # positives that an item is thought to have had, so that a rare pair is no certainty


class Together:
    """How often pairs of items came together, fading, as two count-min sketches (Cormode and Muthukrishnan 2005).

    A pair counts in one cell of each, which others may share: the lesser of the two is nearest to the truth. So memory
    is what it is, and nothing has to be evicted. How often an item came at all is how often it came with itself.
    """

    def __init__(self, half_lives_ms: Sequence[float]) -> None:
        self._sketches = Decayed(2 << _BITS, half_lives_ms)  # one after the other

    def learn(self, item: U32, recent: U32, timestamp: I64) -> None:
        """Each of `item` (n,) was taken by somebody who had taken `recent` (n, r, padded with `NO_KEY`) before."""
        row, column = np.nonzero((recent != NO_KEY) & (recent != item[:, None]))
        pair = _pair(np.append(item[row], item), np.append(recent[row, column], item))
        when = np.append(timestamp[row], timestamp)
        self._sketches.add(_cells(pair).ravel(), np.tile(when, 2))

    def cosines(self, item: U32, recent: U32, timestamp: I64) -> F64:
        """How near each of `item` (n,) is to each of `recent` (n, r), 0 to nothing and to itself: (n, r, half-lives).

        >>> pairs = Together([1e9])
        >>> pairs.learn(np.array([7] * 95, np.uint32), np.array([[8, 0]] * 95, np.uint32), np.zeros(95, np.int64))
        >>> near = pairs.cosines(np.array([8], np.uint32), np.array([[7, 9]], np.uint32), np.array([0]))
        >>> near[0, :, 0].round(2).tolist()
        [4.25, 0.0]
        """
        mine = item[:, None]
        each = np.broadcast_to(mine, recent.shape)
        pair = _pair(np.concatenate([mine, recent, each], axis=1), np.concatenate([mine, recent, recent], axis=1))
        one, other = self._sketches.at(_cells(pair), timestamp[:, None])
        count = np.minimum(one, other)
        own, theirs, both = count[:, :1], count[:, 1 : 1 + recent.shape[1]], count[:, 1 + recent.shape[1] :]
        two = (recent != NO_KEY) & (recent != mine)
        cosines: F64 = two[..., None] * both / np.sqrt((own + _RARE) * (theirs + _RARE))
        return cosines

    def state(self) -> Rest:
        """The sketches at rest."""
        return self._sketches.state()

    def restore(self, state: Rest) -> None:
        """Become those that were at rest in `state`."""
        self._sketches.restore(state)


def _pair(one: U32, other: U32) -> U64:
    low, high = np.minimum(one, other), np.maximum(one, other)
    return mix(low.astype(np.uint64) << np.uint64(32) | high)


def _cells(pair: U64) -> I64:
    """A cell of each pair (…) in either sketch, (2, …): two ends of one hash."""
    ends = np.array([pair >> np.uint64(64 - _BITS), pair & np.uint64((1 << _BITS) - 1) | np.uint64(1 << _BITS)])
    return ends.astype(np.int64)
