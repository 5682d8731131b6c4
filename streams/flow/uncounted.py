"""Snapshots that Bytewax wrote and did not count: its file has them before it has that their epoch is done.

After a crash in between it rightly goes on from the epoch before, but leaves them there, and takes them for counted
once that epoch's number is behind it, where the key was not saved in it again. What had come since is lost with that,
or is done twice. So they are deleted before it begins.

And with them all that it has of the output, which is nothing: a part for each process (`streams.flow.sink`), without
which Bytewax would not begin with fewer processes than there were.
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import msgspec

from streams.flow.state import FLOW_ID, OUTPUT, damaged
from wire.durable import open_database

_EXECUTIONS = "SELECT ex_num, worker_count, resume_epoch FROM exs WHERE ex_num = (SELECT MAX(ex_num) FROM exs)"
_FRONTS = "SELECT ex_num, worker_index, worker_frontier FROM fronts WHERE ex_num = (SELECT MAX(ex_num) FROM fronts)"


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """What the parts of a state on one host say of how far the dataflow is.

    Of the newest execution there: its number, how many workers it had, and the epoch it began with; and of the newest
    of which there is any, its number, a worker, and the first epoch that is not done there.
    """

    executions: list[tuple[int, int, int]] = []
    fronts: list[tuple[int, int, int]] = []


def progress_of(folder: Path) -> Progress:
    """Of the parts in a folder; raises `InputError` where they are damaged, and `StorageError`."""
    executions: list[tuple[int, int, int]] = []
    fronts: list[tuple[int, int, int]] = []
    for place in folder.glob("part-*.sqlite3"):
        with open_database(place, partial(damaged, folder, place.name)) as database:
            executions += database.execute(_EXECUTIONS).fetchall()
            fronts += database.execute(_FRONTS).fetchall()
    return Progress(executions, fronts)


def resume_epoch(of_all: Iterable[Progress]) -> int | None:
    """The epoch that Bytewax begins with, by all parts of a state; what was saved in it or later does not count.

    Every worker is as far as it says, or where the execution began. None where no dataflow has begun.

    >>> resume_epoch([Progress([(1, 2, 5)], [(0, 0, 9), (1, 0, 8)]), Progress([], [(1, 1, 7)])])
    7
    >>> resume_epoch([Progress([(2, 2, 8)], [(2, 0, 9)])]), resume_epoch([])
    (8, None)
    """
    parts = list(of_all)
    executions = [each for part in parts for each in part.executions]
    if not executions:
        return None
    newest, workers, began = max(executions)
    found = dict.fromkeys(range(workers), began)
    for execution, worker, front in (each for part in parts for each in part.fronts):
        if execution == newest:
            found[worker] = max(front, found.get(worker, began))
    return min(found.values())


def forget_uncounted(folder: Path, epoch: int | None) -> int:
    """Delete what was saved in this epoch or later, and the output's parts; returns how many snapshots that were.

    Not from a part that is done with more: another part is too old, which Bytewax refuses, and may be given back newer.
    Raises as `progress_of`.
    """
    forgotten = 0
    if epoch is None:
        return forgotten
    for place in folder.glob("part-*.sqlite3"):
        with open_database(place, partial(damaged, folder, place.name)) as database:
            if database.execute("SELECT 1 FROM commits WHERE commit_epoch > ?", (epoch,)).fetchone():
                continue
            forgotten += database.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (epoch,)).rowcount
            database.execute("DELETE FROM snaps WHERE step_id = ?", (f"{FLOW_ID}.{OUTPUT}",))
    return forgotten
