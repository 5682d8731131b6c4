"""Context: what a log says of a moment beside who met what, as features of a global model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.streamed.rest import Rest
from wire.arrays import F64
from wire.path import value_at

WORDS = 256  # of a column that have a code of their own: beyond it is rather a key, from which trees learn nothing
_MOST = 1e30  # either way, which float32 holds
ABSENT = -_MOST  # what a field is that a context lacks


@dataclass(frozen=True)
class ContextNames:
    """Which fields of a context are features: those that say something about the `item` rank, as its price or its
    length; those of the `moment` are the same for all items that a user meets then, as a page or a device, and say
    how likely anything is taken."""

    item: tuple[str, ...] = ()
    moment: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Of both kinds."""
        return (*self.item, *self.moment)


NO_CONTEXT = ContextNames()


class Context:
    """The fields `names` of contexts, some by a path, as numbers; words become numbers in the order in which they come.

    >>> context = Context(("tab", "price"))
    >>> context.of([{"tab": "home", "price": 2.5}, {"tab": "search", "price": "7"}, {"tab": "home"}, None])[:2].tolist()
    [[0.0, 2.5], [1.0, 7.0]]
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._words: list[dict[str, int]] = [{} for _ in names]

    @property
    def words(self) -> list[list[str]]:
        """Those of each column that have a number, in their order."""
        return [[*words] for words in self._words]

    def state(self) -> Rest:
        """The words of each column at rest, in their order."""
        return self.words

    def restore(self, state: Rest) -> None:
        """Know the words that were at rest in `state`."""
        self._words = [{word: n for n, word in enumerate(words)} for words in state]

    def of(self, contexts: Sequence[Mapping[str, Any] | None]) -> F64:
        """(n, names); what is absent, or neither a number nor a word, is below all else."""
        if not self._names:
            return np.zeros((len(contexts), 0))
        fields = zip(self._names, self._words, strict=True)
        columns = [[_number(value_at(of or {}, name), words) for of in contexts] for name, words in fields]
        return np.array(columns, np.float64).T


def _number(value: Any, words: dict[str, int]) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return words.setdefault(value, len(words)) if len(words) < WORDS else words.get(value, WORDS)
    if not isinstance(value, int | float):
        return ABSENT
    return max(ABSENT, min(value, _MOST))  # what is not a number is larger than none
