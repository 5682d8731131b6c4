"""People: everybody's own past, as many as there is room for."""

from itertools import islice
from typing import Any

from models.streamed.person import Past, Person
from models.streamed.rest import Rest


class People:
    """Up to `most` of them; who was away longest goes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._people: dict[int, Person] = {}  # the newest last
        self._changed: set[int] = set()

    def __len__(self) -> int:
        return len(self._people)

    def take(self, user: int, *event: Any) -> Past:
        """What was known of the user; see `Person.take`."""
        person = self._people.pop(user, None) or Person()
        self._people[user] = person
        self._changed.add(user)
        if len(self._people) > self._most:
            self._changed.discard(oldest := next(iter(self._people)))
            del self._people[oldest]
        return person.take(*event)

    def changes(self) -> list[tuple[int, Rest]]:
        """The states of those who did something since this was asked last, who did something last at the end.

        All others were away for longer, in the order in which they were told before.
        """
        newest = list(islice(reversed(self._people.items()), len(self._changed)))
        self._changed.clear()
        return [(user, person.state()) for user, person in reversed(newest)]

    def restore(self, user: int, state: Rest) -> None:
        """Somebody who came after all others here."""
        self._people[user] = Person.restore(state)
