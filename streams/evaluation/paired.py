"""Arms compared on the same events, paired over users: differences with intervals from one bootstrap of the users."""

from collections.abc import Sequence

import msgspec
import numpy as np
import polars as pl

from models.scores import auc, auc_of_groups, ece, log_losses, logloss, ndcg_of_groups, pairs_of_groups
from streams.evaluation.lineup import SCORE
from wire.arrays import F64, I64, U8

RESAMPLES = 1000  # of the users; the ends of a 95 % interval then vary by about 2 % of its width
_CHUNK = 100  # resamples drawn at once: 17,000 users take 14 MB
_LEVELS = (0.025, 0.975)
_LEAST_PAIRS = 1000  # that met at one moment: their AUC has a standard error of .01 at least


class ArmFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One arm over all predicted events; None where labels do not allow a figure.

    `gauc`, `moment` and `ndcg` are of its scores, `auc`, `logloss` and `ece` of its probabilities. `moment` is the AUC
    within the moment: over pairs that one user met at one time, a positive and its own negatives or one page of
    impressions; `ndcg` the mean over these moments; both None where there are fewer than a thousand pairs.
    """

    auc: float | None
    gauc: float | None
    moment: float | None
    ndcg: float | None
    logloss: float | None
    ece: float | None


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One arm minus another on the same events; intervals are 95 % bootstraps over users, paired.

    `users_up` and `users_down` are the shares of the `users` (those with both labels) whose own AUC is higher and
    lower, by scores like `gauc` and `moment` (None without pairs, see `ArmFigures`). `logloss` is in nats per event:
    negative is better. `auc_ci95` bootstraps each user's share in the AUC (its structural components, Obuchowski 1997),
    so that no resample has to be ranked again.
    """

    gauc: float
    ci95: tuple[float, float]
    users: int
    users_up: float
    users_down: float
    moment: float | None
    moment_ci95: tuple[float, float] | None
    auc: float
    auc_ci95: tuple[float, float]
    logloss: float
    logloss_ci95: tuple[float, float]

    def __str__(self) -> str:
        return with_interval(self.gauc, self.ci95)


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """A difference, and where 95 of 100 such samples of users would have it.

    >>> with_interval(0.031, (0.027, 0.035))
    '+0.0310 [+0.0270, +0.0350]'
    """
    return f"{value:+.4f} [{interval[0]:+.4f}, {interval[1]:+.4f}]"


class Comparison:
    """Predictions in columns `user_id`, `timestamp`, `label`, and one of probabilities per arm, with another one of
    scores where the arm ranks by them; `seed` is the bootstrap's."""

    def __init__(self, predictions: pl.DataFrame, arms: Sequence[str], seed: int) -> None:
        self.group: I64 = _numbered(predictions, "user_id")
        self.label: U8 = predictions["label"].to_numpy().astype(np.uint8)
        self.probability: dict[str, F64] = {arm: predictions[arm].to_numpy().astype(np.float64) for arm in arms}
        self.users = int(self.group.max(initial=-1)) + 1
        self.events: F64 = np.bincount(self.group, minlength=self.users).astype(np.float64)
        moment = _numbered(predictions, "user_id", "timestamp")
        moments = int(moment.max(initial=-1)) + 1
        pairs = pairs_of_groups(moment, moments, self.label)
        owner = np.zeros(moments, np.int64)
        owner[moment] = self.group
        self.user_auc: dict[str, F64] = {}
        self._ranked_right: dict[str, F64] = {}  # pairs within moments, per user
        self._ndcg: dict[str, float] = {}
        self._pairs: F64 = np.bincount(owner, pairs, self.users).astype(np.float64)
        self._met = self._pairs.sum() >= _LEAST_PAIRS
        for arm in arms:
            name = arm + SCORE if arm + SCORE in predictions.columns else arm
            score = predictions[name].to_numpy().astype(np.float64)
            self.user_auc[arm] = auc_of_groups(self.group, self.users, self.label, score)
            right = np.nan_to_num(auc_of_groups(moment, moments, self.label, score)) * pairs
            if self._met:
                self._ndcg[arm] = float(np.nanmean(ndcg_of_groups(moment, moments, self.label, score)))
            self._ranked_right[arm] = np.bincount(owner, right, self.users).astype(np.float64)
        self._seed = seed

    @property
    def ranked(self) -> I64:
        """Users with both labels: those that have an AUC of their own."""
        positives = np.bincount(self.group, self.label, self.users)
        return np.flatnonzero((positives > 0) & (positives < self.events))

    def figures(self) -> dict[str, ArmFigures]:
        """Each arm on its own."""
        at = self.ranked
        weight = self.events[at]
        table = {}
        for arm, probability in self.probability.items():
            gauc = float(self.user_auc[arm][at] @ weight / weight.sum()) if len(at) else float("nan")
            raw = {
                "auc": auc(self.label, probability),
                "gauc": gauc,
                "moment": self._ranked_right[arm].sum() / self._pairs.sum() if self._met else float("nan"),
                "ndcg": self._ndcg[arm] if self._met else float("nan"),
                "logloss": logloss(self.label, probability),
                "ece": ece(self.label, probability),
            }
            table[arm] = ArmFigures(**{name: None if np.isnan(v) else round(float(v), 6) for name, v in raw.items()})
        return table

    def pairs(self, names: Sequence[tuple[str, str]]) -> dict[str, Pair]:
        """`a` minus `b` for each of `names`, as `a-b`; {} when no user has both labels."""
        at = self.ranked
        if not len(at):
            return {}
        weight = np.where(np.isin(np.arange(self.users), at), self.events, 0.0)
        parts = {f"{a}-{b}": self._parts(a, b) for a, b in names}
        columns = [weight, self.events, self._pairs, *(c for p in parts.values() for c in p)]
        sums = self._resampled(np.column_stack(columns))
        drawn = sums[:, 0] > 0  # of few users with both labels a sample may have none
        result = {}
        for n, (name, (gain, share, loss, right)) in enumerate(parts.items()):
            of_gain, of_share, of_loss, of_right = sums[:, 3 + 4 * n : 7 + 4 * n].T
            up, down = (float((gain[at] * sign > 0).mean()) for sign in (1, -1))
            result[name] = Pair(
                gauc=round(float(gain.sum() / weight.sum()), 6),
                ci95=_interval(of_gain[drawn] / sums[drawn, 0]),
                users=len(at),
                users_up=round(up, 6),
                users_down=round(down, 6),
                moment=round(float(right.sum() / self._pairs.sum()), 6) if self._met else None,
                moment_ci95=_interval(of_right / np.maximum(sums[:, 2], 1)) if self._met else None,
                auc=round(float(share.sum()), 6),
                auc_ci95=_interval(of_share),
                logloss=round(float(loss.sum() / self.events.sum()), 6),
                logloss_ci95=_interval(of_loss / sums[:, 1]),
            )
        return result

    def _parts(self, a: str, b: str) -> tuple[F64, F64, F64, F64]:
        """What each user adds to the differences: weighted AUC gain, share in the AUC, sum of log-loss, pairs of one
        moment that are ranked right."""
        gain = np.nan_to_num((self.user_auc[a] - self.user_auc[b]) * self.events)
        share = self._auc_shares(a) - self._auc_shares(b)
        losses = log_losses(self.label, self.probability[a]) - log_losses(self.label, self.probability[b])
        loss: F64 = np.bincount(self.group, losses, self.users).astype(np.float64)
        return gain, share, loss, self._ranked_right[a] - self._ranked_right[b]

    def _auc_shares(self, arm: str) -> F64:
        """Each user's share in the AUC; they sum to it, and resampled to what it would be, to first order."""
        score, positive = self.probability[arm], self.label > 0
        above = np.empty(len(score))  # of each positive: negatives below it; of each negative: positives above it
        above[positive] = _share_below(score[~positive], score[positive])
        above[~positive] = 1 - _share_below(score[positive], score[~positive])
        whole = above[positive].mean()
        size = np.where(positive, positive.sum(), (~positive).sum())
        shares: F64 = np.bincount(self.group, (above - whole) / size, self.users) + whole / self.users
        return shares

    def _resampled(self, columns: F64) -> F64:
        """Sums (RESAMPLES, c) of per-user `columns` (users, c) over users drawn with replacement."""
        rng = np.random.default_rng(self._seed)
        each = np.full(self.users, 1 / self.users)
        draws = range(0, RESAMPLES, _CHUNK)
        return np.concatenate([rng.multinomial(self.users, each, min(_CHUNK, RESAMPLES - n)) @ columns for n in draws])


def _numbered(predictions: pl.DataFrame, *columns: str) -> I64:
    """The number (n,) of each row's group, rows of the same `columns` being one."""
    numbers: I64 = predictions.select(pl.struct(columns).rank("dense")).to_series().to_numpy().astype(np.int64) - 1
    return numbers


def _share_below(others: F64, score: F64) -> F64:
    """The share of `others` below each of `score`, ties counting half."""
    ordered = np.sort(others)
    below, up_to = (np.searchsorted(ordered, score, side) for side in ("left", "right"))
    share: F64 = (below + up_to) / 2 / max(len(others), 1)
    return share


def _interval(values: F64) -> tuple[float, float]:
    low, high = np.quantile(values, _LEVELS)
    return round(float(low), 6), round(float(high), 6)
