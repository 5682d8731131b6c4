"""What each shard of a dataflow has, opened when it is asked for and closed with the others."""

from typing import Generic, Protocol, Self, TypeVar


class Closes(Protocol):
    """What is open until it is closed."""

    def close(self) -> None: ...  # noqa: D102


T = TypeVar("T", bound=Closes)


class Shards(Generic[T]):
    """By shard, what is open of it."""

    def __init__(self) -> None:
        self._open: dict[int, T] = {}

    def close(self) -> None:
        """Close all that were opened."""
        for each in self._open.values():
            each.close()
        self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
