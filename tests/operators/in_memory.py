"""Where states are saved, in a dictionary for each checkpoint."""

from collections.abc import Iterable, Mapping


class InMemory:
    """Saved states of each checkpoint."""

    def __init__(self) -> None:
        self.checkpoints: list[dict[str, bytes]] = [{}]

    @property
    def checkpoint(self) -> int:
        return len(self.checkpoints) - 1

    def resume(self, checkpoint: int | None) -> Iterable[tuple[str, bytes]]:
        del self.checkpoints[1 + (checkpoint or 0) :]
        return list(self.checkpoints[-1].items())

    def get(self, name: str) -> bytes:
        return self.checkpoints[-1][name]

    def save(self, changes: Mapping[str, bytes | None], states: int) -> int:
        kept = {name: state for name, state in {**self.checkpoints[-1], **changes}.items() if state is not None}
        assert len(kept) == states
        self.checkpoints.append(kept)
        return len(self.checkpoints) - 1
