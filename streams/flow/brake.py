"""A worker that waits for others rests.

Bytewax reads nothing of the next epoch before all processes are through with the last one, and looks again and again
meanwhile, without a pause: a worker that waits takes a whole core, and the others may be waiting for that core. It has
no setting for this; but a step that always wants to be notified is called in each of these rounds, and may sleep.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Never

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import StatefulBatchLogic

from operators.placement import shard_key

# The end of an epoch takes some five rounds of everybody. Each rest is longer than the last, so that what comes is
# seen late by a quarter of the wait, and by no more than the most: others wait for what this worker does for them.
REST_S, LONGER, REST_MOST_S = 0.001, 1.25, 0.02
_ALWAYS = datetime.fromtimestamp(0, UTC)


class Brake:
    """Of `worker`, one of `workers`: rests by `sleep` in each round in which it `waits` for others."""

    def __init__(self, worker: int, workers: int, waits: Callable[[], bool], sleep: Callable[[float], None]) -> None:
        self.key = shard_key(worker, workers)
        self._waits, self._sleep = waits, sleep
        self._rest_s = REST_S

    def round(self) -> None:
        """One round of the worker."""
        if self._waits():
            self._sleep(self._rest_s)
            self._rest_s = min(LONGER * self._rest_s, REST_MOST_S)
        else:
            self._rest_s = REST_S


class BrakeLogic(StatefulBatchLogic[None, Never, None]):
    """`Brake.round` in a dataflow."""

    def __init__(self, brake: Brake) -> None:
        self._brake = brake

    def on_batch(self, values: list[None]) -> tuple[list[Never], bool]:  # noqa: ARG002
        """It begins."""
        return [], self.RETAIN

    def on_notify(self) -> tuple[list[Never], bool]:
        """A round of the worker."""
        self._brake.round()
        return [], self.RETAIN

    def notify_at(self) -> datetime:
        """In every round."""
        return _ALWAYS

    def snapshot(self) -> None:
        """It has no state."""


def brake_step(step_id: str, up: Stream[Any], brake: Brake) -> None:
    """`brake` in a dataflow, from when its worker first has something from `up`."""
    keys = [(brake.key, None)]

    def begin(_came: Iterable[Any]) -> list[tuple[str, None]]:
        return [keys.pop()] if keys else []

    op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_begin", up, begin), lambda _saved: BrakeLogic(brake))
