"""The streamed features themselves: what each one is called, and what is the same for all items of a moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from models.sample import pad_histories
from models.streamed.context import NO_CONTEXT, ContextNames
from models.streamed.counts import HALF_LIVES_MS, Counts
from models.streamed.counts import SPANS as COUNT_SPANS
from models.streamed.moments import Moments
from models.streamed.people import People
from models.streamed.person import Past, Person
from models.streamed.rest import Rest
from models.streamed.together import SPANS, Together
from wire.arrays import F32, F64, I64, U32

ITEMS, CATEGORIES, PEOPLE = 1 << 16, 1 << 14, 1 << 20  # that are remembered: 14 MB, 4 MB, 1 to 15 kB each
RECENT = 10  # newest positives of a user that an item is set against
_FADE = 0.8  # of a positive's weight, from each to the one before it
_DAY_S, _HOUR_MS = 86_400, 3_600_000

_POPULARITY = tuple(f"{of}_share_{span}" for of in ("item", "category") for span in COUNT_SPANS)
_RATES = tuple(f"{of}_rate_{span}" for of in ("item", "category") for span in COUNT_SPANS)
_AGES = ("item_age", "item_last")
_OWN = ("times", "since", "category_share", "category_recent", "category_taken")
_NEAR = tuple(f"near_{kind}_{COUNT_SPANS[span]}" for kind in ("all", "fading", "last") for span in SPANS)
_USER = ("positives", "gap", "in_session", "hour")
_USER_RATES = ("category_rate", "user_rate")
_SAME = (*_USER, "user_rate")


@dataclass(frozen=True)
class Seen:
    """n moments, their features (n, features) in the order of `Streamed.names`, the categories of their users' newest
    positives (n,), and what the crowd needs when it hears of them."""

    moments: Moments
    features: F32
    last_category: U32
    recent: U32

    def __len__(self) -> int:
        return len(self.features)

    def state(self) -> Rest:
        """All at rest."""
        return *self.moments, self.features, self.last_category, self.recent

    @classmethod
    def restore(cls, state: Rest) -> Self:
        """What was at rest in `state`."""
        *moments, features, last_category, recent = state
        return cls(Moments(*moments), features, last_category, recent)

    def take(self, rows: slice | I64) -> Self:
        """Some of them."""
        return type(self)(self.moments.take(rows), self.features[rows], self.last_category[rows], self.recent[rows])

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """All of `parts` (at least one), in their order."""
        moments = Moments(*map(np.concatenate, zip(*(part.moments for part in parts), strict=True)))
        of = zip(*((part.features, part.last_category, part.recent) for part in parts), strict=True)
        return cls(moments, *map(np.concatenate, of))


class Streamed:
    """All state of the streamed features. `impressions`: label 0 says that an item was really shown, so it has a rate.
    `context` names what of a moment's context is a feature as well.

    Features that are the `same` for all items that a user meets at one moment rank nothing, so where items were really
    shown they are `held` in a score. Where negatives are drawn, every moment has the same share of positives: such
    features can only say how far to believe others, and a score may have them.

    A user's own past is strictly before a moment; the crowd's is what `learn` has been told of until then.
    """

    def __init__(self, *, impressions: bool, context: ContextNames = NO_CONTEXT) -> None:
        self.impressions = impressions
        self._items = Counts(ITEMS, impressions=impressions)
        self._categories = Counts(CATEGORIES, impressions=impressions)
        self._together = Together([HALF_LIVES_MS[n] for n in SPANS])
        self.people = People(PEOPLE, Person)
        rates = (*_RATES, *_USER_RATES) if impressions else ()
        self.names: tuple[str, ...] = (*_POPULARITY, *_AGES, *_OWN, *_NEAR, *_USER, *rates, *map(_said, context.all))
        self.same = frozenset((*_SAME, *map(_said, context.moment)))
        self.held = self.same if impressions else frozenset()
        self.popularity: tuple[str, ...] = (*_POPULARITY, *_AGES, *(_RATES if impressions else ()))

    def take(self, moments: Moments, context: F64 | None = None) -> Seen:
        """The features of n moments, of whose contexts `context` (n, names) was told where some are named; each user's
        own past knows them from then on."""
        person, columns = self.people.of, (column.tolist() for column in moments)
        past = [person(user).take(*event) for user, *event in zip(*columns, strict=True)]
        of = _columns(past)
        recent = pad_histories([each.history_item for each in past])[:, :RECENT]
        categories = pad_histories([each.history_category for each in past])
        item, category, when = self._items.of(moments.item), self._categories.of(moments.category), moments.timestamp
        shares, *rates = zip(self._items.lately(item, when), self._categories.lately(category, when), strict=True)
        parts = [*shares, self._items.ages(item, when)]
        parts += [_own(of, categories, moments.category), self._near(moments, recent), _user(of, when)]
        if self.impressions:
            parts += [*rates[0], _user_rates(of)]
        if context is not None:
            parts.append(context)
        features = np.concatenate(parts, axis=1, dtype=np.float32)
        return Seen(moments, features, categories[:, 0], recent)

    def learn(self, seen: Seen) -> None:
        """The crowd knows of these moments from now on."""
        _, item, category, label, timestamp = seen.moments
        self._items.learn(item, label, timestamp)
        self._categories.learn(category, label, timestamp)
        taken = label > 0
        self._together.learn(item[taken], seen.recent[taken], timestamp[taken])

    def state(self) -> dict[str, Rest]:
        """All at rest, but for people."""
        return {name: each.state() for name, each in self._tables.items()}

    def restore(self, state: Mapping[str, Rest]) -> None:
        """Become what was at rest in `state`."""
        for name, each in self._tables.items():
            each.restore(state[name])

    @property
    def _tables(self) -> dict[str, Counts | Together]:
        return {"items": self._items, "categories": self._categories, "together": self._together}

    def _near(self, moments: Moments, recent: U32) -> F64:
        """How often the item came together with the user's newest positives, as cosines, (n, 3 · spans)."""
        cosine = self._together.cosines(moments.item, recent, moments.timestamp)
        fading = np.einsum("nrs,r->ns", cosine, _FADE ** np.arange(recent.shape[1]))
        return np.concatenate([cosine.sum(axis=1), fading, cosine[:, 0]], axis=1)


def _said(field: str) -> str:
    """What a field of the context is called as a feature, whatever other features are."""
    return f"context.{field}"


def _columns(past: Sequence[Past]) -> dict[str, F64]:
    """All that is a number, (n,) each."""
    numbers = zip(Past._fields, zip(*past, strict=True), strict=True)
    return {name: np.array(column, np.float64) for name, column in numbers if not name.startswith("history")}


def _own(of: dict[str, F64], categories: U32, category: U32) -> F64:
    """What the user did with the item and its category before, (n, own)."""
    since = np.where(of["times"] > 0, np.log1p(of["since_s"] / _DAY_S), -1.0)
    recent = (categories == category[:, None]).mean(axis=1)
    share = (of["of_category"] + 0.5) / (of["of_all"] + 5)
    return np.array([of["times"], since, share, recent, np.log1p(of["of_category"])]).T


def _user(of: dict[str, F64], timestamp: I64) -> F64:
    """What is the same whatever the item, (n, user)."""
    hour = timestamp // _HOUR_MS % 24
    return np.array([np.log1p(of["of_all"]), np.log1p(of["gap_s"] + 1), of["in_session"], hour]).T


def _user_rates(of: dict[str, F64]) -> F64:
    """How often the user takes what they meet, of the category and at all, (n, 2)."""
    rate = (of["of_all"] + 2) / (of["met_all"] + 4)
    return np.array([(of["of_category"] + 5 * rate) / (of["met_category"] + 5), rate]).T
