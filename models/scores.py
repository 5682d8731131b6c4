"""How good predictions are: AUC, GAUC, log-loss and calibration error, all vectorised."""

from collections.abc import Sequence

import numpy as np

from wire.arrays import F32, F64, I64, U8, U64, Bool

_CLIP = 1e-6  # no probability is nearer to 0 or 1 than this when it is charged; 13.8 nats at most


def auc(label: U8, score: F32 | F64) -> float:
    """The chance that a positive scores above a negative, ties counting half; NaN without both labels.

    >>> auc(np.array([1, 0, 1], np.uint8), np.array([.9, .2, .2]))
    0.75
    """
    return float(auc_of_groups(np.zeros(len(label), np.int64), 1, label, score)[0])


def gauc(user: U64, label: U8, score: F32 | F64) -> float:
    """AUC within each user who has both labels, averaged by their impressions; NaN when no user has."""
    users, group = np.unique(user, return_inverse=True)
    each = auc_of_groups(group, len(users), label, score)
    counted = ~np.isnan(each)
    weight = np.bincount(group, minlength=len(users))[counted]
    return float(each[counted] @ weight / weight.sum()) if counted.any() else float("nan")


def log_losses(label: U8, probability: F32 | F64) -> F64:
    """The log-loss of each prediction in nats, shape as given; probabilities are clipped to 1e-6 … 1 − 1e-6."""
    p = clipped(probability)
    return np.where(label > 0, -np.log(p), -np.log1p(-p))


def clipped(probability: F32 | F64) -> F64:
    """Probabilities as they are charged: within 1e-6 … 1 − 1e-6."""
    return np.clip(probability.astype(np.float64), _CLIP, 1 - _CLIP)


def logit(probability: F32 | F64) -> F64:
    """Log-odds of probabilities as they are charged.

    >>> logit(np.array([0.5, 1.0])).round(2).tolist()
    [0.0, 13.82]
    """
    p = clipped(probability)
    odds: F64 = np.log(p / (1 - p))
    return odds


def logloss(label: U8, probability: F32 | F64) -> float:
    """Mean log-loss in nats; NaN without predictions."""
    return float(log_losses(label, probability).mean()) if len(label) else float("nan")


def ece(label: U8, probability: F32 | F64, bins: int = 15) -> float:
    """Expected calibration error over `bins` of equal width: mean |share of positives − mean probability|."""
    if len(label) == 0:
        return float("nan")
    at = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gap = np.bincount(at, label - probability.astype(np.float64), bins)
    return float(np.abs(gap).sum() / len(label))


def auc_of_groups(group: I64, groups: int, label: U8 | Bool, score: F32 | F64) -> F64:
    """AUC per group, shape (groups,); NaN where a label is missing."""
    return _aucs(np.lexsort((score, group)), group, groups, label, score)


def pairs_of_groups(group: I64, groups: int, label: U8 | Bool) -> F64:
    """How many pairs of a positive and a negative each group has, shape (groups,)."""
    positives = np.bincount(group, label > 0, groups)
    pairs: F64 = positives * (np.bincount(group, minlength=groups) - positives)
    return pairs


def ndcg_of_groups(group: I64, groups: int, label: U8 | Bool, score: F32 | F64) -> F64:
    """Normalised discounted cumulative gain per group (Järvelin and Kekäläinen 2002), shape (groups,): a positive at
    rank r, from 1, gains 1/log2(1 + r), of what all positives at the top would; ties share their ranks' mean gain; NaN
    where a label is missing.

    >>> ndcg_of_groups(np.zeros(3, np.int64), 1, np.array([1, 0, 0], np.uint8), np.array([.5, .9, .1])).round(3)
    array([0.631])
    """
    order = np.lexsort((-score, group))
    owner, value, positive = group[order], score[order], label[order] > 0
    size, positives = np.bincount(owner, minlength=groups), np.bincount(owner, positive, groups)
    place = np.arange(len(owner)) - (np.cumsum(size) - size)[owner]
    gain = 1 / np.log2(2 + place)
    got = np.bincount(owner, _tied_mean(owner, value, gain) * positive, groups)
    most = np.bincount(owner, gain * (place < positives[owner]), groups)
    result = np.full(groups, np.nan)
    np.divide(got, most, out=result, where=(positives > 0) & (positives < size))
    return result


def aucs_up_to(ends: Sequence[int], group: I64, groups: int, label: U8 | Bool, score: F32 | F64) -> F64:
    """The same over the first `end` rows, for each of `ends`, shape (ends, groups): sorted once for all of them."""
    order = np.lexsort((score, group))
    return np.stack([_aucs(order[order < end], group, groups, label, score) for end in ends])


def _aucs(order: I64, group: I64, groups: int, label: U8 | Bool, score: F32 | F64) -> F64:
    """AUC per group over the rows in `order`, which is by group and then by score."""
    owner, value, positive = group[order], score[order], label[order] > 0
    size = np.bincount(owner, minlength=groups)
    rank = _tied_mean(owner, value, np.arange(1.0, len(owner) + 1)) - (np.cumsum(size) - size)[owner]
    positives = np.bincount(owner, positive, groups)
    above = np.bincount(owner, rank * positive, groups) - positives * (positives + 1) / 2
    pairs = positives * (size - positives)
    result = np.full(groups, np.nan)
    np.divide(above, pairs, out=result, where=pairs > 0)
    return result


def _tied_mean(owner: I64, value: F32 | F64, of: F64) -> F64:
    """What each row (sorted by owner, value) has `of`; rows of one owner with the same value share their mean."""
    new = np.append(True, (owner[1:] != owner[:-1]) | (value[1:] != value[:-1]))[: len(owner)]
    run = np.cumsum(new) - 1
    mean: F64 = (np.bincount(run, of) / np.bincount(run))[run]
    return mean
