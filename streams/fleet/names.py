"""Names of the items and categories that a fleet's users meet: devices know them by their keys alone."""

from collections.abc import Iterable, Iterator, Mapping

from wire.ids import item_key

MOST = 100_000  # names, 12 MB; of more the first heard are forgotten


class Names(Mapping[int, str]):
    """Names by key.

    >>> names = Names(most=2)
    >>> names.hear(["milk", "dairy", "bread"])
    >>> list(names.values())
    ['dairy', 'bread']
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._names: dict[int, str] = {}

    def hear(self, names: Iterable[str]) -> None:
        """Know these."""
        for name in names:
            self._names.setdefault(item_key(name), name)
            if len(self._names) > self._most:
                del self._names[next(iter(self._names))]

    def __getitem__(self, key: int) -> str:
        return self._names[key]

    def __iter__(self) -> Iterator[int]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
