"""People: what is kept of each user, for as many as there is room for."""

from itertools import islice
from typing import Generic, Protocol, Self, TypeVar

from models.streamed.rest import Rest


class _Rests(Protocol):
    """What can be kept: it begins empty."""

    def state(self) -> Rest: ...
    @classmethod
    def restore(cls, state: Rest) -> Self: ...


Kept = TypeVar("Kept", bound=_Rests)


class People(Generic[Kept]):
    """A `kind` each, for up to `most` of them; who was away longest goes first."""

    def __init__(self, most: int, kind: type[Kept]) -> None:
        self._most, self._kind = most, kind
        self._people: dict[int, Kept] = {}  # the newest last
        self._changed: set[int] = set()

    def __len__(self) -> int:
        return len(self._people)

    def find(self, user: int) -> Kept | None:
        """What is kept of the user, which stays as it is; None of somebody new."""
        return self._people.get(user)

    def of(self, user: int) -> Kept:
        """What is kept of the user, who does something now that changes it."""
        kept = self._people.pop(user, None)
        if kept is None:
            kept = self._kind()
        self._people[user] = kept
        self._changed.add(user)
        if len(self._people) > self._most:
            self._changed.discard(oldest := next(iter(self._people)))
            del self._people[oldest]
        return kept

    def changes(self) -> list[tuple[int, Rest]]:
        """The states of those who did something since this was asked last, who did something last at the end.

        All others were away for longer, in the order in which they were told before.
        """
        newest = list(islice(reversed(self._people.items()), len(self._changed)))
        self._changed.clear()
        return [(user, kept.state()) for user, kept in reversed(newest)]

    def restore(self, user: int, state: Rest) -> None:
        """Somebody who came after all others here."""
        self._people[user] = self._kind.restore(state)
