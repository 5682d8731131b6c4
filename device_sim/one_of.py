"""Which of a fleet's processes one is, and what of the whole is its own."""

from pathlib import Path
from typing import NamedTuple

from wire.errors import InputError


class OneOf(NamedTuple):
    """Number `process` of so many `processes`; alone it has everything, under plain names.

    >>> OneOf(1, 2).name("coda-fleet"), OneOf().name("coda-fleet")
    ('coda-fleet-1', 'coda-fleet')
    """

    process: int = 0
    processes: int = 1

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.processes == 1

    def has(self, partition: int) -> bool:
        """Whether users whose events are in this partition are its own.

        As long as `processes` divides the number of partitions, a user stays with it also when partitions are added:
        a key's partition is its hash modulo their number.
        """
        return partition % self.processes == self.process

    def part(self, number: int) -> int:
        """Its part of so many things.

        >>> [OneOf(n, 3).part(100) for n in range(3)]
        [34, 33, 33]
        """
        return (number + self.processes - 1 - self.process) // self.processes

    def name(self, whole: str) -> str:
        """What it is called, of a fleet that is called `whole`."""
        return whole if self.alone else f"{whole}-{self.process}"

    def folder(self, whole: Path) -> Path:
        """Its own folder, in that of the fleet."""
        return whole if self.alone else whole / f"process-{self.process}-of-{self.processes}"


ALONE = OneOf()


def all_of(processes: int) -> list[OneOf]:
    """Every one of so many processes."""
    return [OneOf(process, processes) for process in range(processes)]


def check_partitions(topic: str, partitions: int, processes: int) -> None:
    """Raise `InputError` where the processes could not share a topic's partitions out evenly, and for good."""
    if partitions % processes:
        allowed = [str(n) for n in range(1, partitions + 1) if partitions % n == 0]
        raise InputError(
            f"--processes {processes} cannot share out the {partitions} partitions of {topic} evenly: "
            f"give {', '.join(allowed[:-1])} or {allowed[-1]}"
        )


def check_folder(folder: Path, processes: int, *, alone: tuple[str, ...]) -> None:
    """Raise `InputError` where a fleet of another number of processes keeps its things in `folder`.

    `alone` are names of what one process leaves there.
    """
    found = {int(each.name.rpartition("-")[2]) for each in folder.glob("process-*-of-*")}
    if not found and any((folder / name).exists() for name in alone):
        found = {1}
    if others := found - {processes}:
        raise InputError(
            f"{folder} is of a fleet of --processes {others.pop()}, which says what is where: give as many, "
            "or another --state and --out, and devices start anew"
        )
