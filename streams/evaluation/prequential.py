"""The prequential run behind `coda evaluate`: the live system's own parts in event-time order, without a broker.

Per-user state, shard, gather and fleet are the classes that the dataflow and `coda fleet` run; only Kafka, MQTT and
Bytewax are missing. The log comes in slices. Before a slice, what is as old as the plan's delay enters the pool, due
users are matched, and devices train on it; then every arm predicts the slice's events. So the delay is the least age of
what was learned from (biases, blends and what its user took, which a device updates as it predicts, wait for nobody,
as live). Every clock is event time, so nothing depends on the machine's speed but the measured compute.

Beside it a cloud trainer makes new versions, as `coda train-cloud` does. Its predictions are the arm
`REFRESHED_CLOUD`; whether devices get its versions too, or add to what another model expected, is the plan's `base`.
What devices report goes into the next task, which comes whenever that says something new, as live.

An idle device asks for a batch every `Task.idle_age_ms`, and nobody sees what it makes of any but the newest. So the
run keeps idle devices from asking, and when a user comes back makes the one batch that counts, as of when the device
would have asked: the same predictions for a small part of the work.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
import polars as pl

from device_sim.fleet import Fleet
from device_sim.headcount import Headcount
from device_sim.instruction import Train
from device_sim.quarantine import FleetFailed
from device_sim.record import Predictions, TrainingRecord
from device_sim.stimulus import OwnEvent
from index.pool import Pool
from models.artefact import model_to_bytes
from models.cloud_model import CloudModel
from models.cloud_trainer import Progress, train_first
from models.sample import block_of
from models.streamed.context import NO_CONTEXT, ContextNames
from monitor.metrics import Metrics
from operators.audience import Audience
from operators.decode import Arrival, Asked
from operators.gather import GatherState, Merge
from operators.shard import Matching, Shard, ShardOutput, Work
from operators.user import MatchRules, Query, UserOutput, UserState
from streams.base.names import NOT_CLOUD, REPEATS, STALE
from streams.evaluation.backlog import Backlog
from streams.evaluation.lineup import FIRST_CLOUD, REFRESHED, REFRESHED_CLOUD, SCORE
from streams.logs.slices import INITIAL_ROWS, INITIAL_SHARE
from streams.training.cloud_trainer import CloudTrainer, Learned
from streams.training.fleet_reports import FleetReports
from wire.batch import encode_packed
from wire.errors import InputError
from wire.event import Event
from wire.ids import sample_key, user_key
from wire.moments import EventMs, SteadyMs, WallMs
from wire.sample import SampleRecord
from wire.task import ARMS, Task
from wire.telemetry import MatchRequest, Training, decode_report

_NEVER_MS = 2**62


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is evaluated: `devices` users (0: all), the `initial_share` of the log for the first cloud version,
    a new version per `refresh_ms` of event time (0: never), what devices add to (`base`, of `BASES`), what of events'
    `context` global models know, how old what happened is at least when it is learned from (`delay_ms`, at least 1;
    live 2 s at the 99th percentile, the default has room), how many users take an item before its samples are pooled
    (`min_users`), and the settings of matching and training.
    """

    devices: int = 0
    initial_share: float = INITIAL_SHARE
    refresh_ms: int = 86_400_000
    base: str = STALE
    context: ContextNames = NO_CONTEXT
    delay_ms: int = 5_000
    seed: int = 0
    per_label: int = 800
    min_users: int = 5
    rules: MatchRules = field(default_factory=MatchRules)
    task: Task = field(default_factory=lambda: Task(task_version=1))


@dataclass(frozen=True)
class Outcome:
    """What a run recorded, predictions in event-time order with a column per arm ("cloud" is what devices add to; where
    that is no cloud model, `FIRST_CLOUD` is the first cloud model), and `repeat` (see
    `streams.evaluation.log.repeats`); `versions` of the cloud model, and `held_back`, which predicted no better; how
    many devices stand `aside` in the end, and how many matches were `withheld` for that; and which rivals stayed
    `untrained`, as the initial part was too short for them.
    """

    predictions: pl.DataFrame
    trainings: list[TrainingRecord]
    bytes_down: list[int]
    versions: int
    held_back: int = 0
    aside: int = 0
    unproven: int = 0
    withheld: int = 0
    untrained: Sequence[str] = ()


class PrequentialRun:
    """The whole system at one point of the log."""

    def __init__(self, pool: Pool, plan: Plan, users: frozenset[str]) -> None:
        self._plan = plan
        self._pool = pool
        self.users = users
        self._metrics = Metrics()
        self._fleet = Fleet(self._metrics, seed=plan.seed, scores=True)
        self._states: dict[str, UserState] = {}
        self._audiences: dict[int, Audience] = {}
        self._gathers: dict[str, GatherState] = defaultdict(GatherState)
        matching = Matching(1, plan.per_label, random=True, seed=plan.seed)
        self._shard = Shard(pool, 0, matching)
        self._model: CloudModel | None = None
        self._trainer: CloudTrainer | None = None
        self._user_keys = frozenset(map(user_key, users))
        self._taken = 0
        self._held_back = self._withheld = 0
        self._task = msgspec.structs.replace(plan.task, idle_age_ms=_NEVER_MS)
        self._reports = FleetReports(self._metrics)
        self._now_ms = self._known_ms = EventMs(0)  # what happened by `_known_ms` is learned from
        self._backlog = Backlog()
        self._bytes_down: list[int] = []
        self._predictions: list[Predictions] = []
        # What cloud models predicted that devices do not add to, by sample key.
        self._aside: dict[str, dict[int, float]] = {}
        self._trainings: list[TrainingRecord] = []
        self._cpu_s: Callable[[], float] = _cpu_s

    def remember(self, events: list[Event]) -> list[SampleRecord]:
        """Take a slice of the initial part: histories and windows fill, nothing is predicted, matched or trained."""
        self._now_ms = EventMs(events[-1].timestamp)
        self._own_events(events)
        return self._to_users(events).samples

    def learn_initial(self, records: list[SampleRecord], train: Progress) -> None:
        """Train the first cloud version on the initial samples, give it to devices, and fill the pool."""
        block = block_of(records)
        self._model = train_first([block], self._plan.seed, train)
        learned = Learned(self._model.trained_until, {})
        self._trainer = CloudTrainer(
            self._model, learned, self._metrics, refresh_ms=self._plan.refresh_ms, seed=self._plan.seed
        )
        self._trainer.remember(block)
        self._known_ms = self._now_ms
        self._fleet.deliver_task(self._task, 0, self._now_ms)
        self._adopt(self._model)
        for at in range(0, len(records), INITIAL_ROWS):
            self._work(Work(0, self._admitted(records[at : at + INITIAL_ROWS]), []))
        self._match_and_train([], [])

    def step(self, events: list[Event]) -> dict[str, dict[str, float]]:
        """Learn from what is old enough, then predict a slice. Returns what the cloud model that each rival builds on
        made of it, by event id."""
        self._now_ms = EventMs(events[0].timestamp)
        self._known_ms = max(self._known_ms, EventMs(self._now_ms - self._plan.delay_ms))
        self._learn()
        self._catch_up(events)
        self._now_ms = EventMs(events[-1].timestamp)
        self._own_events(events)
        out = self._to_users(events)
        predicted = self._fleet.take_predictions()
        self._predictions += predicted
        self._backlog.add(out.samples, out.queries)
        at = ARMS.index("cloud")
        added_to = {event: p for each in predicted for event, p in zip(each.event_id, each.arms[:, at], strict=True)}
        mine = [each for each in out.samples if each.user in self._user_keys]
        assert self._model is not None and self._trainer is not None, "nothing is streamed before there is a model"
        if self._plan.base in NOT_CLOUD:
            self._predict_aside(FIRST_CLOUD, mine, self._model)
        if self._plan.refresh_ms:
            self._predict_aside(REFRESHED_CLOUD, mine, self._trainer.model)
        beside = {name: {event: of[sample_key(event)] for event in added_to} for name, of in self._aside.items()}
        refreshed = {REPEATS + REFRESHED: beside[REFRESHED_CLOUD]} if self._plan.refresh_ms else {}
        return {REPEATS: beside.get(FIRST_CLOUD, added_to)} | refreshed

    def _learn(self) -> None:
        """Pool what is old enough, match who was due by then, and train; the newest cloud model learns likewise."""
        samples, queries = self._backlog.take(self._known_ms)
        admitted = self._admitted(samples)
        self._match_and_train(admitted, queries)
        self._renew_task()
        if self._plan.refresh_ms:
            self._refresh(admitted)

    def _catch_up(self, events: list[Event]) -> None:
        """Give the devices of users that come back what they asked for while idle, the plan's delay ago at least."""
        back = {event.user_id: event.timestamp for event in reversed(events) if event.user_id in self._fleet.devices}
        delay_ms = self._plan.delay_ms
        asked = [(user_id, self._asked_idle_ms(user_id, at_ms - delay_ms)) for user_id, at_ms in back.items()]
        queries = [query for user_id, at_ms in reversed(asked) if at_ms for query in self._ask(user_id, at_ms)]
        if queries:
            self._deliver(self._work(Work(0, [], queries)))
            self._train()

    def _asked_idle_ms(self, user_id: str, by_ms: int) -> EventMs | None:
        """When the user's device asked last by `by_ms`, if it was idle so long."""
        device, every_ms = self._fleet.devices[user_id], self._plan.task.idle_age_ms
        if device.batch is None or device.new_samples:
            return None
        times = (by_ms - device.batch.matched_ms) // every_ms
        return EventMs(device.batch.matched_ms + times * every_ms) if times > 0 else None

    def _match_and_train(self, samples: list[SampleRecord], queries: list[Query]) -> None:
        """Pool the samples, answer the queries and what devices ask for as time passes, and train who is due."""
        self._fleet.tick(self._now_ms)
        self._deliver(self._work(Work(0, samples, [*queries, *self._requested()])))
        self._train()

    def _train(self) -> None:
        """Train who is due, on own samples that are old enough; the window holds newer ones, too."""
        while (job := self._fleet.begin_training(self._now_ms)) is not None:
            trains = tuple(_known(train, self._known_ms) for train in job.trains)
            self._fleet.finish_training(replace(job, trains=trains).attempt(self._cpu_s), self._now_ms)
        self._trainings += self._fleet.take_trainings()

    def _adopt(self, model: CloudModel) -> None:
        """Use a version from now on, in the cloud and on every device."""
        self._model = model
        self._shard.handle([], model, SteadyMs(self._now_ms))
        while self._pool.in_shadow:
            self._shard.go_on(model, SteadyMs(self._now_ms))
        self._fleet.deliver_model(model, len(model_to_bytes(model)), self._now_ms)
        # The pool was encoded in no time, so nobody has to wait for the first batch.
        waiting = [user_id for user_id, device in self._fleet.devices.items() if device.model != model.id]
        queries = [query for user_id in waiting for query in self._ask(user_id, self._now_ms)]
        self._deliver(self._work(Work(0, [], queries)))

    def outcome(self) -> Outcome:
        """What was recorded so far."""
        assert self._trainer is not None
        tables = [_table(p, self._plan.task.compared) for p in self._predictions if len(p.user_id)]
        if not tables:
            raise InputError(
                "no event was predicted: the log has none after its initial part; take a smaller --initial-share"
            )
        table = pl.concat(tables)
        for name, of in self._aside.items():
            predicted = [of[sample_key(event_id)] for event_id in table["event_id"].to_list()]
            table = table.with_columns(pl.Series(name, predicted, pl.Float64))
        counted = Headcount.of(self._fleet.devices.values())
        return Outcome(
            table,
            self._trainings,
            self._bytes_down,
            self._trainer.model.version,
            self._held_back,
            aside=counted.aside,
            unproven=counted.unproven,
            withheld=self._withheld,
        )

    def _own_events(self, events: list[Event]) -> None:
        own = [OwnEvent(event, event.timestamp) for event in events if event.user_id in self.users]
        for user_id in dict.fromkeys(o.event.user_id for o in own):  # in order: sets have another in every process
            if user_id not in self._fleet.devices:
                self._fleet.connected(user_id, self._now_ms)
        self._fleet.handle_events(own, self._now_ms)
        if failed := self._fleet.take_gone():
            raise FleetFailed(f"the device of {failed[0]} failed (see above): arms are compared on all events or none")

    def _to_users(self, events: list[Event]) -> UserOutput:
        """Every user's state takes its events; only users with a device are matched."""
        per_user: dict[str, list[Arrival | Asked]] = defaultdict(list)
        for event in events:
            per_user[event.user_id].append(Arrival.of(event, WallMs(event.timestamp)))
        total = UserOutput([], [], [], 0)
        for user_id, arrivals in per_user.items():
            out = self._state(user_id).handle(arrivals, self._plan.rules, WallMs(self._now_ms))
            total.samples.extend(out.samples)
            self._withheld += out.withheld
            if user_id in self.users:
                total.queries.extend(out.queries[-1:])  # of several in one slice, the newest wins
        total.samples.sort(key=lambda record: record.timestamp)
        return total

    def _admitted(self, samples: list[SampleRecord]) -> list[SampleRecord]:
        """What goes on to the pool now: those whose item enough users took, and those that waited for it."""
        of_item: dict[int, list[SampleRecord]] = defaultdict(list)
        for sample in samples:
            of_item[sample.item].append(sample)
        admitted: list[SampleRecord] = []
        for item, came in of_item.items():
            audience = self._audiences.setdefault(item, Audience(item))
            admitted.extend(audience.admit(came, self._plan.min_users))
        return sorted(admitted, key=lambda record: record.timestamp)

    def _requested(self) -> Iterator[Query]:
        """What devices ask for on their own; of their other reports, the sums are kept for the task."""
        for user_id, publish in self._fleet.take_outgoing():
            report = decode_report(publish.payload)
            if isinstance(report, Training):
                counts = self._reports.add(report, WallMs(self._now_ms))
                assert counts, "our own devices report of every head"
            elif isinstance(report, MatchRequest):
                yield from self._ask(user_id, self._now_ms, report.reason)

    def _ask(self, user_id: str, now_ms: EventMs, reason: str = "") -> list[Query]:
        wall_ms = WallMs(now_ms)
        asked = Asked(user_id, wall_ms, reason=reason)
        return self._state(user_id).handle([asked], self._plan.rules, wall_ms, now_ms).queries

    def _state(self, user_id: str) -> UserState:
        if user_id not in self._states:
            self._states[user_id] = UserState(user_id)
        return self._states[user_id]

    def _work(self, work: Work) -> ShardOutput:
        assert self._model is not None, "nothing is pooled before there is a model"
        return self._shard.handle([work], self._model, SteadyMs(self._now_ms))

    def _deliver(self, output: ShardOutput) -> None:
        merge = Merge(1, self._plan.per_label)
        for reply in output.replies:
            gathered = self._gathers[reply.user_id].handle([reply], merge, reply.before_ms, steady_ms=0)
            for _, batch in gathered.batches:
                raw = encode_packed(batch)
                self._bytes_down.append(len(raw))
                self._fleet.deliver_batch(reply.user_id, raw, self._now_ms)

    def _refresh(self, admitted: list[SampleRecord]) -> None:
        """Let the newest cloud model learn, once its interval is over."""
        assert self._trainer is not None
        if admitted:
            taken = np.arange(self._taken, self._taken + len(admitted))
            self._taken += len(admitted)
            self._trainer.take(block_of(admitted), np.zeros_like(taken), taken)
        if self._trainer.due(caught_up=True):
            trial = self._trainer.train()
            self._held_back += trial is not None and not trial.passed
            if trial and trial.passed and self._plan.base == "refreshed":
                self._adopt(self._trainer.model)

    def _renew_task(self) -> None:
        """The task with what the fleet reported goes out once that says something new."""
        if self._reports.moved(self._task):
            taught = self._reports.taught(self._task)
            self._task = msgspec.structs.replace(taught, task_version=self._task.task_version + 1)
            self._fleet.deliver_task(self._task, 0, self._now_ms)

    def _predict_aside(self, name: str, records: list[SampleRecord], model: CloudModel) -> None:
        predicted = self._aside.setdefault(name, {})
        if records:
            probability = model.predict(block_of(records)).astype(np.float64).tolist()
            predicted.update(zip([record.sample for record in records], probability, strict=True))


def _cpu_s() -> float:
    import time  # noqa: PLC0415 - the one clock here, and it is only what compute is reported by

    return time.process_time()


def _known(train: Train, until_ms: EventMs) -> Train:
    """The training on own samples of until then alone, those among them that are to be encoded yet included."""
    rows = train.rows.take(train.rows.timestamp <= until_ms)
    unencoded = train.unencoded.take(np.isin(train.unencoded.seq, rows.seq))
    return msgspec.structs.replace(train, rows=rows, unencoded=unencoded)


def _table(predictions: Predictions, arms: tuple[str, ...]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "user_id": predictions.user_id,
            "event_id": predictions.event_id,
            "timestamp": predictions.timestamp,
            "label": predictions.label,
            "version": predictions.version,
            **{arm: predictions.arms[:, ARMS.index(arm)] for arm in arms},
            **{arm + SCORE: predictions.scores[:, ARMS.index(arm)] for arm in arms},
        }
    )
