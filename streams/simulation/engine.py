"""Runs Bytewax dataflows under a scheduler of our own, so that time, order and crashes are the caller's.

A `Dataflow` is plain Python: five core operators say what is to be done, and everything else is made of them. So the
simulator runs what `streams.flow.dataflow.build_flow` built, and no copy of it. As in Bytewax an operator takes all
that waits for it at once, a stateful one by key in the order of keys; an epoch begins when everybody is through with
the one before; and a state counts once its whole epoch is committed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from bytewax.dataflow import Dataflow

from operators.placement import worker_of
from streams.simulation.snapshots import GONE, Place, Snapshots

Items = list[Any]
_ROUNDS = 10


class NotYet(Exception):
    """What was asked for has to wait: ask again later."""


class Engine:
    """One worker per dataflow, all of them alike, from `snapshots` on. Logics are woken by `now`, epochs end
    by `steady_ms`.

    A worker does something only in `step`, so one that is not stepped is a process that is slow or stopped. Raises
    whatever a step raises; after that the engine is a process that died, and its snapshots are what is left.
    """

    def __init__(
        self,
        flows: Sequence[Dataflow],
        snapshots: Snapshots,
        epoch_ms: int,
        *,
        now: Callable[[], datetime],
        steady_ms: Callable[[], int],
    ) -> None:
        self._snapshots, self._epoch_ms, self._now, self._steady_ms = snapshots, epoch_ms, now, steady_ms
        self.workers = [_Worker(flow, number, self) for number, flow in enumerate(flows)]
        self._closes_ms, self._closing, self._committing = steady_ms() + epoch_ms, False, False
        self.ended = False  # all inputs have, and the last epoch is committed
        for worker in self.workers:
            worker.begin(snapshots)

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way, and all that was done is committed."""
        return not any(step.inbox or step.changed for worker in self.workers for step in worker.steps)

    def step(self, number: int = 0) -> None:
        """Let one worker do what it has to do now, and end the epoch when it is time and nobody has anything left."""
        if self._committing:
            self._commit()
            return
        worker = self.workers[number]
        if not self._closing:
            worker.read()
        worker.work()
        self._closing |= self._steady_ms() >= self._closes_ms or all(each.at_end for each in self.workers)
        if self._closing and not any(each.busy for each in self.workers):
            self._commit()

    def close(self) -> None:
        """Let go of what inputs and outputs hold."""
        for worker in self.workers:
            worker.close()

    def _commit(self) -> None:
        """Save what the epoch changed; while what it gave is on its way out, nobody does anything else."""
        changes: dict[Place, Any] = {}
        self._committing = True
        try:
            for worker in self.workers:
                worker.snapshot(changes)
        except NotYet:
            return
        self._snapshots.commit(changes)
        for worker in self.workers:
            worker.committed()
        self._closes_ms = self._steady_ms() + self._epoch_ms
        self._closing = self._committing = False
        self.ended = all(worker.at_end for worker in self.workers)

    def send(self, step: int, worker: int, items: Items) -> None:
        """Put items before step number `step` of a worker."""
        self.workers[worker].steps[step].inbox.extend(items)


class _Worker:
    """One worker's operators, in the order in which they were declared: what they need comes before them."""

    def __init__(self, flow: Dataflow, number: int, engine: Engine) -> None:
        operators = [each for each in _core(flow.substeps) if type(each).__name__ in _STEPS]
        self.steps: list[_Step] = [_STEPS[type(each).__name__](each) for each in operators]
        for at, step in enumerate(self.steps):
            readers = [n for n, each in enumerate(operators) if step.down in _ups(each)]
            step.place = _Place(engine, at, number, readers)

    def begin(self, snapshots: Snapshots) -> None:
        for step in self.steps:
            step.begin(dict(snapshots.of(step.step_id)))

    @property
    def at_end(self) -> bool:
        return all(step.at_end for step in self.steps if isinstance(step, _Input))

    @property
    def busy(self) -> bool:
        return any(step.inbox for step in self.steps)

    def logics(self, step_id: str) -> list[Any]:
        """The logics of one of its stateful steps."""
        return [logic for step in self.steps if step.step_id == step_id for logic in step.logics.values()]

    def read(self) -> None:
        for step in self.steps:
            if isinstance(step, _Input):
                step.read()

    def work(self) -> None:
        """Until nobody has anything to do now; who wants to be woken at once again and again is not waited for."""
        for _ in range(_ROUNDS):
            for step in self.steps:
                step.work()
            if not any(step.inbox or step.due for step in self.steps):
                return

    def snapshot(self, changes: dict[Place, Any]) -> None:
        for step in self.steps:
            step.snapshot(changes)

    def committed(self) -> None:
        for step in self.steps:
            step.changed.clear()

    def close(self) -> None:
        for step in self.steps:
            step.close()


class _Place:
    """Where a step stands: which worker it is on, and which steps read what it gives."""

    def __init__(self, engine: Engine, at: int, worker: int, readers: Sequence[int]) -> None:
        self._engine, self._at, self.worker, self._readers = engine, at, worker, readers

    @property
    def now(self) -> datetime:
        return self._engine._now()

    @property
    def workers(self) -> int:
        return len(self._engine.workers)

    def twins(self) -> Iterator[tuple[int, Any]]:
        """The same step on all workers, with their numbers."""
        for number, worker in enumerate(self._engine.workers):
            yield number, worker.steps[self._at]

    def down(self, items: Items) -> None:
        """Give items to all readers, each on the worker where it wants them."""
        for reader in self._readers if items else ():
            step = self._engine.workers[self.worker].steps[reader]
            for worker, some in step.routed(items).items():
                self._engine.send(reader, worker, some)


class _Step:
    """One core operator at work on one worker."""

    place: _Place

    def __init__(self, operator: Any) -> None:
        self.step_id: str = operator.step_id
        self.down: str = operator.down.stream_id if hasattr(operator, "down") else ""
        self.inbox: Items = []
        self.logics: dict[str, Any] = {}  # of a stateful one, by key
        self.changed: dict[str, None] = {}  # keys that did something in this epoch

    @property
    def due(self) -> list[str]:
        """Keys that are to be woken by now."""
        return []

    def begin(self, states: dict[str, Any]) -> None:
        """Begin with the states of the last committed epoch."""

    def routed(self, items: Items) -> dict[int, Items]:
        """On which worker items are wanted."""
        return {self.place.worker: items}

    def work(self) -> None:
        """Take all that waits."""

    def snapshot(self, changes: dict[Place, Any]) -> None:
        """Note down what this epoch changed."""

    def close(self) -> None:
        """Let go of what is held."""

    def _take(self) -> Items:
        taken, self.inbox = self.inbox, []
        return taken


class _Input(_Step):
    """Parts are shared out among workers in turn."""

    def __init__(self, operator: Any) -> None:
        super().__init__(operator)
        self._source = operator.source
        self._parts: dict[str, Any] = {}
        self._ended: set[str] = set()

    def begin(self, states: dict[str, Any]) -> None:
        mine = sorted(self._source.list_parts())[self.place.worker :: self.place.workers]
        self._parts = {part: self._source.build_part(self.step_id, part, states.get(part)) for part in mine}

    @property
    def at_end(self) -> bool:
        return len(self._ended) == len(self._parts)

    def read(self) -> None:
        for name, part in self._parts.items():
            awake = part.next_awake()
            if name in self._ended or (awake is not None and awake > self.place.now):
                continue
            try:
                self.place.down(list(part.next_batch()))
            except StopIteration:
                self._ended.add(name)

    def snapshot(self, changes: dict[Place, Any]) -> None:
        for name, part in self._parts.items():
            changes[Place(self.step_id, name)] = part.snapshot()

    def close(self) -> None:
        for part in self._parts.values():
            part.close()


class _FlatMap(_Step):
    def __init__(self, operator: Any) -> None:
        super().__init__(operator)
        self._mapper = operator.mapper

    def work(self) -> None:
        if self.inbox:
            self.place.down(list(self._mapper(self._take())))


class _Merge(_Step):
    def work(self) -> None:
        self.place.down(self._take())


class _Stateful(_Step):
    def __init__(self, operator: Any) -> None:
        super().__init__(operator)
        self._builder = operator.builder
        self._wakes: dict[str, datetime] = {}

    @property
    def due(self) -> list[str]:
        now = self.place.now if self._wakes else None
        return sorted(key for key, wakes in self._wakes.items() if wakes <= now) if now else []

    def begin(self, states: dict[str, Any]) -> None:
        for key, state in states.items():
            if worker_of(key, self.place.workers) == self.place.worker:
                self.logics[key] = self._builder(state)
                self._look(key)

    def routed(self, items: Items) -> dict[int, Items]:
        routed: dict[int, Items] = defaultdict(list)
        for item in items:
            routed[worker_of(item[0], self.place.workers)].append(item)
        return routed

    def work(self) -> None:
        by_key: defaultdict[str, Items] = defaultdict(list)
        for key, value in self._take():
            by_key[key].append(value)
        due = self.due
        out: Items = []
        for key in sorted(by_key):
            if key not in self.logics:
                self.logics[key] = self._builder(None)
            out += self._did(key, *self.logics[key].on_batch(by_key[key]))
        for key in due:
            if key in self.logics:
                out += self._did(key, *self.logics[key].on_notify())
        for key in {**by_key, **dict.fromkeys(due)}:
            self._look(key)
        self.place.down(out)

    def snapshot(self, changes: dict[Place, Any]) -> None:
        for key in sorted(self.changed):
            logic = self.logics.get(key)
            changes[Place(self.step_id, key)] = GONE if logic is None else logic.snapshot()

    def _did(self, key: str, values: Iterable[Any], discard: bool) -> Items:
        self.changed[key] = None
        if discard:
            del self.logics[key]
        return [(key, value) for value in values]

    def _look(self, key: str) -> None:
        """When to wake it next."""
        logic = self.logics.get(key)
        at = logic.notify_at() if logic is not None else None
        if at is None:
            self._wakes.pop(key, None)
        else:
            self._wakes[key] = at


class _Output(_Step):
    """Every worker lists parts of its own; a key's part is one of all of them."""

    def __init__(self, operator: Any) -> None:
        super().__init__(operator)
        self._sink = operator.sink
        self.parts: dict[str, Any] = {}

    def begin(self, states: dict[str, Any]) -> None:
        self.parts = {
            name: self._sink.build_part(self.step_id, name, states.get(name)) for name in self._sink.list_parts()
        }

    def routed(self, items: Items) -> dict[int, Items]:
        homes = {part: worker for worker, twin in self.place.twins() for part in twin.parts}
        routed: dict[int, Items] = defaultdict(list)
        for item in items:
            routed[homes[self._part(item[0], sorted(homes))]].append(item)
        return routed

    def work(self) -> None:
        by_part: defaultdict[str, Items] = defaultdict(list)
        everywhere = sorted(part for _, twin in self.place.twins() for part in twin.parts)
        for key, value in self._take():
            by_part[self._part(key, everywhere)].append(value)
        for name in sorted(by_part):
            self.parts[name].write_batch(by_part[name])

    def snapshot(self, changes: dict[Place, Any]) -> None:
        for name, part in self.parts.items():
            changes[Place(self.step_id, name)] = part.snapshot()

    def close(self) -> None:
        for part in self.parts.values():
            part.close()

    def _part(self, key: str, everywhere: Sequence[str]) -> str:
        at: int = self._sink.part_fn(key)
        return everywhere[at % len(everywhere)]


_STEPS: dict[str, Callable[[Any], _Step]] = {
    "input": _Input,
    "flat_map_batch": _FlatMap,
    "merge": _Merge,
    "stateful_batch": _Stateful,
    "output": _Output,
}


def _core(operators: Iterable[Any]) -> Iterator[Any]:
    """The core operators in order; others are made of these."""
    for operator in operators:
        if getattr(operator, "core", False):
            yield operator
        else:
            yield from _core(operator.substeps)


def _ups(operator: Any) -> Iterable[str]:
    """The streams that an operator reads."""
    ports = getattr(operator, "up", None) or getattr(operator, "ups", None)
    return ports.stream_ids.values() if ports else ()
