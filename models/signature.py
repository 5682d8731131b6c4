"""Match keys of two views: what a history is like, and which items are in it.

The first view is the history as the cloud model pools it. A model knows nothing of items that are newer than itself:
they share one row, so on a log of news it cannot tell which of them somebody took. The second view, the *signature*,
looks at items by name: every item key stands for 64 fixed random signs, and a history is the sum of its items', the
newest and the rarest weighing most. The inner product of two signatures estimates how much two histories overlap; to
share an item that everybody takes says little about two people, to share one that the model does not know says most.

Source: random indexing / sparse random projections (Achlioptas 2003); rare items weigh more as in session-based
neighbours (VS-KNN, Ludewig and Jannach 2018); both views side by side are this project's own: on a log
of news the two together win about twice what the pooled view alone does.
"""

import numpy as np

from wire.arrays import F32, U32
from wire.ids import NO_KEY, mix
from wire.sample import HISTORY_LEN

SIGNATURE_DIM = 64  # one hash's bits
KEY_DIM = 32 + SIGNATURE_DIM  # beside the pooled history, which is as wide as an interest (`models.cloud_model.DIM`)
POOLED_LENGTH = 0.7  # of the pooled view where the signature's is 1: a third of the key's square
_WEIGHTS = (0.7 ** np.arange(HISTORY_LEN)).astype(np.float32)  # by position: the newest three hold two thirds
FEW = 10  # positives, of an item that still counts as new: it weighs 1/ln 10 = .43, one with 1,000 a third of that


def rarity(taken: F32) -> F32:
    """What items weigh in a signature (n,) that have had so many positives (n,)."""
    weight: F32 = 1 / np.log(np.float32(FEW) + taken)
    return weight


def two_view_keys(pooled: F32, history_item: U32, rarity: F32) -> F32:
    """Match keys (n, KEY_DIM) of length 1; pooled (n, 32) of length 1, item keys and their rarity (n, L).

    Without a history the pooled view alone makes the key.
    """
    keys = np.concatenate([np.float32(POOLED_LENGTH) * pooled, signatures(history_item, rarity)], axis=1)
    return unit(keys)


def signatures(history_item: U32, rarity: F32) -> F32:
    """Signatures (n, 64) of histories of item keys (n, L), newest first, and how rare each is (n, L) on any scale.

    They have length 1, that of an empty history 0.

    >>> ann, bob, eve = np.zeros((3, 1, HISTORY_LEN), np.uint32)
    >>> ann[0, :2], bob[0, :2], eve[0, :2] = [1, 2], [1, 3], [4, 5]
    >>> ann, bob, eve = (signatures(history, np.ones(history.shape, np.float32)) for history in (ann, bob, eve))
    >>> bool(ann @ bob.T > 0.5 > ann @ eve.T)
    True
    """
    weight = np.where(history_item == NO_KEY, np.float32(0), _WEIGHTS * rarity)
    # Sums of bits first, of signs then: Σ w(2b - 1) = 2Σ wb - Σ w takes .6 µs a row, a table of signs 2.3.
    raw = mix(history_item.astype("<u8")).view(np.uint8)
    bits = np.unpackbits(raw, axis=1, bitorder="little").reshape(*history_item.shape, SIGNATURE_DIM)
    sums = np.matmul(weight[:, None, :], bits.astype(np.float32))[:, 0]
    return unit(2 * sums - weight.sum(axis=1, keepdims=True))


def unit(vectors: F32) -> F32:
    """Each vector with length 1, or zero when it is."""
    length: F32 = np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float32)
    length[length == 0] = 1
    scaled: F32 = vectors / length
    return scaled
