"""The shell of `coda fleet`: Kafka and MQTT in, the devices' sans-I/O core in the middle, MQTT and files out.

One asyncio loop does everything in rounds: own events from Kafka, whatever came over MQTT, predictions in one
batch, what devices want published. One training at a time runs in a thread beside it (torch lets go of the
interpreter while it computes), so that predictions never wait for trainings. Kafka is polled in a thread as well.
"""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import structlog
import torch

from device_sim.due import GROUP
from device_sim.fleet import Fleet
from device_sim.link import Arrival, Link
from device_sim.outcome import Events, Models, Tasks
from device_sim.quarantine import FleetFailed
from device_sim.scoreboard import Scoreboard
from device_sim.state import FleetState, Resumed
from device_sim.stimulus import OwnEvent
from device_sim.training import Attempt
from models.artefact import model_from_bytes
from monitor import metrics
from streams.bus import Message, Partition
from streams.home import settle
from streams.kafka.bounds import bounds
from streams.kafka.connection import KafkaSettings, is_embedded
from streams.kafka.consumer import BatchConsumer
from streams.kafka.home import home_of
from streams.kafka.lag import GroupPositions
from streams.kafka.topics import BEHAVIOUR, EVENTS, FLEET_GROUP
from wire.errors import CodaError, ConnectionFailed, DeliveryError
from wire.event import decode_event
from wire.malformed import Malformed
from wire.reason import Reason
from wire.signing import load_public_key, open_model, open_task

Own = Literal["events", "behaviour"]
TOPIC_OF: dict[Own, str] = {"events": EVENTS, "behaviour": BEHAVIOUR}

POLL_S = 0.01  # how long a round waits for events: what came over MQTT meanwhile waits at most as long; ours
POLL_MESSAGES = 1000  # of a round: at 44 µs each they hold up MQTT for 44 ms; ours
# A training alone costs almost three times its share of a full group (`benchmarks.training`), so who is due waits for
# company; ours. 50 trainings a second (1,000 events/s) take a fifth of a core so, half of one if each began at once.
TRAIN_EVERY_S = 0.25
TICK_S = 1.0
REPORT_S = 2.0  # between live scores; ours
LAG_S = 1.0  # between looks at the lag; ours. On the embedded broker a replay waits for the positions told then
SNAPSHOT_S = 2.0  # between snapshots; ours
RARELY_S = 15.0  # between chores at most, however long one took; ours
BUSY_SHARE = 0.05  # of the time at most goes into scores and into snapshots each: both grow with what there is; ours
SAY_EVERY_S = 10.0
MOST_DEVICES = 10_000  # of one process, 7 GB; whose user comes back gets a new one

log = structlog.get_logger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class FleetSettings:
    """What a fleet runs on. `devices` None is everyone; otherwise the first so many users that do something."""

    kafka: KafkaSettings
    own: Own
    devices: int | None
    state: Path
    out: Path
    cloud_key: Path
    seed: int


class FleetShell:
    """One run of a fleet, resumed from `settings.state` when there is something in it.

    `wall_ms` is the wall clock; `link` must belong to the running loop.
    """

    def __init__(self, settings: FleetSettings, link: Link, wall_ms: Callable[[], int]) -> None:
        self._settings, self._link, self._wall_ms = settings, link, wall_ms
        self._topic = TOPIC_OF[settings.own]
        uploads = settings.own == "behaviour"
        self._state = FleetState(settings.state)
        begun = self._state.resume(uploads=uploads, seed=settings.seed, now_ms=wall_ms())
        if begun is None:
            begun = Resumed(Fleet(uploads=uploads, seed=settings.seed, boot=wall_ms()), {}, {"run": wall_ms()})
        self.fleet = begun.fleet
        self._positions = {(t, p): o for t, ps in begun.positions.items() for p, o in ps.items()}
        self.board = Scoreboard(settings.out, begun.recorded)
        # Before anything is recorded or reported: records without a state are nobody's to go on with, and what this run
        # reports is newer than what another one did that was killed.
        self._state.note(self.fleet, begun.positions, self.board.flush())
        self._state.write()
        self._stopping = asyncio.Event()
        # Each thread has to be told: a new one would multiply matrices with as many threads as there are cores.
        self._polling, self._training, self._aside = (
            ThreadPoolExecutor(1, name, one_thread) for name in ("kafka", "train", "aside")
        )
        self._job: asyncio.Future[list[Attempt]] | None = None
        self._trained_s = float("-inf")
        self._taken_ms: dict[Partition, int] = {}
        for user_id in self.fleet.devices:
            link.open(user_id)

    def stop(self) -> None:
        """End after this round, in order."""
        self._stopping.set()

    async def run(self) -> dict[str, Any]:
        """Run until `stop`; returns the result document. What the world does wrong ends it as well, in order.

        A mistake of ours ends it with its last snapshot: nobody knows what the fleet is worth after that.
        """
        consumer: BatchConsumer | None = None
        failure: CodaError | None = None
        try:
            if await self._ready():
                consumer = await self._call(self._polling, self._subscribe)
                await self._work(consumer)
        except Exception as error:
            failure = error if isinstance(error, CodaError) else FleetFailed(_line_of(error))
        if isinstance(failure, FleetFailed):
            await self._leave(consumer)
            raise failure
        result = await self._end(consumer)
        if failure is not None:
            raise failure
        return result

    async def _work(self, consumer: BatchConsumer) -> None:
        chores = [
            asyncio.create_task(self._every(TICK_S, self._tick)),
            asyncio.create_task(self._every(REPORT_S, self._report)),
            asyncio.create_task(self._every(SNAPSHOT_S, lambda: self._snapshot(consumer))),
            asyncio.create_task(self._watch_lag(consumer)),
        ]
        try:
            while not self._stopping.is_set():
                await self._round(consumer)
                for chore in chores:
                    if chore.done():
                        chore.result()
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)

    async def _ready(self) -> bool:
        """Wait for a cloud model and a task; before, no event could be predicted. False when told to stop."""
        said_s = float("-inf")
        while (self.fleet.model is None or self.fleet.task is None) and not self._stopping.is_set():
            if time.monotonic() - said_s >= SAY_EVERY_S:
                said_s = time.monotonic()
                log.info("waiting for the first cloud model and task: `coda train-cloud` and `coda tunnel` bring them")
            await self._link.wait(0.2)
            self._take_arrivals()
        return not self._stopping.is_set()

    async def _round(self, consumer: BatchConsumer) -> None:
        messages = await self._call(self._polling, lambda: consumer.poll(POLL_MESSAGES, POLL_S))
        self._take_arrivals()
        events = self._decoded(messages)
        if events:
            self.fleet.handle_events(events, self._wall_ms())
        self._positions = consumer.positions()  # no message more than those of this round; markers are passed over
        for message in messages:
            self._taken_ms[message.topic, message.partition] = message.timestamp_ms
        self._train()
        self._publish()
        self._retire()
        self.board.add(self.fleet.take_predictions())
        self.board.add_trainings(self.fleet.take_trainings())

    def _take_arrivals(self) -> None:
        for arrival in self._link.take():
            if arrival.user_id and arrival.user_id not in self.fleet.devices:
                continue  # the device has retired
            self._ARRIVALS[arrival.kind](self, arrival, self._wall_ms())

    def _up(self, arrival: Arrival, now_ms: int) -> None:
        self.fleet.connected(arrival.user_id, now_ms)

    def _down(self, arrival: Arrival, now_ms: int) -> None:
        self.fleet.link_lost(arrival.user_id, now_ms)

    def _candidates(self, arrival: Arrival, now_ms: int) -> None:
        self.fleet.deliver_batch(arrival.user_id, arrival.payload, now_ms)

    def _receipts(self, arrival: Arrival, now_ms: int) -> None:
        self.fleet.deliver_receipt(arrival.user_id, arrival.payload, now_ms)

    def _model(self, arrival: Arrival, now_ms: int) -> None:
        try:
            public = load_public_key(self._settings.cloud_key)
            model = model_from_bytes(open_model(arrival.payload, public))
        except Malformed as error:
            self.fleet.count(Models.UNSIGNED if error.reason == Reason.UNSIGNED else Models.REFUSED)
            log.warning(f"passed over a cloud model: {error}")
            return
        self.fleet.deliver_model(model, len(arrival.payload), now_ms)
        if self.fleet.model is model:
            log.info("cloud model", version=model.version, trained_until=model.trained_until)

    def _task(self, arrival: Arrival, now_ms: int) -> None:
        try:
            task = open_task(arrival.payload, load_public_key(self._settings.cloud_key))
        except Malformed as error:
            self.fleet.count(Tasks.UNSIGNED if error.reason == Reason.UNSIGNED else Tasks.REFUSED)
            log.warning(f"passed over a task: {error}")
            return
        self.fleet.deliver_task(task, len(arrival.payload), now_ms)
        log.info("task", version=task.task_version, rollout_percent=task.rollout_percent)

    _ARRIVALS: dict[str, Callable[["FleetShell", Arrival, int], None]] = {  # noqa: RUF012
        "up": _up,
        "down": _down,
        "candidates": _candidates,
        "receipts": _receipts,
        "model": _model,
        "task": _task,
    }

    def _decoded(self, messages: list[Message]) -> list[OwnEvent]:
        """The events of our devices' users; connects users seen for the first time."""
        events = []
        for message in messages:
            try:
                event = decode_event(message.value)
            except Malformed:
                self.fleet.count(Events.MALFORMED)
                continue
            if self._ours(event.user_id):
                events.append(OwnEvent(event, message.timestamp_ms))
        return events

    def _ours(self, user_id: str) -> bool:
        if user_id in self.fleet.devices:
            return True
        if user_id in self.fleet.quarantine:
            self.fleet.count(Events.QUARANTINED)
            return False
        if self._settings.devices is not None and len(self.fleet.devices) >= self._settings.devices:
            return False
        self.fleet.device(user_id)
        self._link.open(user_id)
        return True

    def _publish(self) -> None:
        for user_id, publish in self.fleet.take_outgoing():
            self._link.publish(user_id, publish.leaf, publish.payload)

    def _retire(self) -> None:
        """Let devices go where everyone was to have one, and there are too many; disconnect whoever is gone."""
        if self._settings.devices is None and (retired := self.fleet.retire(MOST_DEVICES)):
            log.warning(f"more than {MOST_DEVICES} devices: those idle longest retired", devices=retired)
        for user_id in self.fleet.take_gone():
            self._link.leave(user_id)

    def _train(self) -> None:
        """Apply the training that is done; begin the next when a group is full or the last one began a while ago."""
        if self._job is not None and self._job.done():
            self._finish_training()
        now_s, waiting = time.monotonic(), len(self.fleet.due)
        if self._job is not None or not waiting or (waiting < GROUP and now_s < self._trained_s + TRAIN_EVERY_S):
            return
        if (job := self.fleet.begin_training(self._wall_ms())) is not None:
            self._trained_s = now_s
            loop = asyncio.get_running_loop()
            self._job = loop.run_in_executor(self._training, job.attempt, time.thread_time)

    def _finish_training(self) -> None:
        assert self._job is not None, "there is a training to finish"
        attempts, self._job = self._job.result(), None
        self.fleet.finish_training(attempts, self._wall_ms())

    async def _tick(self) -> None:
        self.fleet.tick(self._wall_ms())

    async def _report(self) -> None:
        scores = self.board.scores()
        if len(scores):
            for arm, (auc, gauc) in (await self._call(self._aside, scores.ranking)).items():
                metrics.arm_auc.labels(arm).set(auc)
                metrics.arm_gauc.labels(arm).set(gauc)

    async def _snapshot(self, consumer: BatchConsumer) -> None:
        """The fleet, its records and its positions, as of one moment between rounds; then tell Kafka."""
        positions = dict(self._positions)  # of what was handled: a poll may be ahead of it just now
        self._state.note(self.fleet, _by_topic(positions), self.board.flush())
        await self._call(self._aside, self._state.write)
        try:
            await self._call(self._polling, lambda: consumer.commit(positions))
        except DeliveryError as error:  # the snapshot is what counts; the next one tells Kafka again
            log.warning(f"positions are in the snapshot but not in Kafka: {error}")

    async def _watch_lag(self, consumer: BatchConsumer) -> None:
        group = GroupPositions(self._settings.kafka, FLEET_GROUP)
        embedded = is_embedded(self._settings.kafka.bootstrap)
        try:
            while True:  # not `_every`: a look waits for the broker and costs next to nothing, however long it takes
                await self._show_lag(group, consumer if embedded else None)
                await asyncio.sleep(LAG_S)
        finally:
            group.close()

    async def _show_lag(self, group: GroupPositions, forgetful: BatchConsumer | None) -> None:
        """Show the lag by committed positions; a `forgetful` broker hears of positions between snapshots, too.

        Nothing of it outlives a crash, so no position there has to wait for its snapshot, and the replay waits for it.
        """
        positions = dict(self._positions)
        try:
            if forgetful is not None:
                await self._call(self._polling, lambda: forgetful.commit(positions))
            behind = await self._call(self._aside, lambda: group.lag(self._topic))
        except (ConnectionFailed, DeliveryError):
            return  # Kafka is away: the consumer says so, and it comes back
        for partition, events in behind.items():
            labels = (FLEET_GROUP, self._topic, str(partition))
            metrics.lag_events.labels(*labels).set(events)
            age_s = (self._wall_ms() - self._taken_ms.get((self._topic, partition), self._wall_ms())) / 1000
            metrics.lag_seconds.labels(*labels).set(age_s if events else 0)

    async def _every(self, seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
        """Do a chore again and again, less often when it takes long: but not never, because a broker was away."""
        while True:
            began = time.monotonic()
            await chore()
            await asyncio.sleep(max(seconds, min(RARELY_S, (time.monotonic() - began) / BUSY_SHARE)))

    async def _end(self, consumer: BatchConsumer | None) -> dict[str, Any]:
        if self._job is not None:
            await asyncio.wait([self._job])
            self._finish_training()
        self._publish()
        self.board.add_trainings(self.fleet.take_trainings())
        try:
            if consumer is not None:
                await self._snapshot(consumer)
        finally:
            await self._leave(consumer)
        result = self._result()
        self.board.merge()
        return result

    async def _leave(self, consumer: BatchConsumer | None) -> None:
        if consumer is not None:
            await self._call(self._polling, consumer.close)
        await self._link.close()
        for pool in (self._polling, self._training, self._aside):
            pool.shutdown(wait=False)

    def _subscribe(self) -> BatchConsumer:
        kafka = self._settings.kafka
        home = home_of(kafka, [self._topic])
        settle(self._settings.state, home, "give another --state and --out, or delete both, and devices start anew")
        fresh = 0 if is_embedded(kafka.bootstrap) else None  # that broker drops what is old: say so, do not skip it
        offsets = {(self._topic, number): fresh for number in partitions(kafka, self._topic)}
        return BatchConsumer(kafka, FLEET_GROUP, [self._topic], "earliest", assign={**offsets, **self._positions})

    def _result(self) -> dict[str, Any]:
        devices = list(self.fleet.devices.values())
        scores = self.board.scores()
        return {
            "devices": len(devices),
            "events": self.board.events,
            "scored": len(scores),
            "arms": scores.result(),
            "device_cost": {
                "compute_ms": _spread(self.board.compute_ms()),
                "bytes_up": _spread([d.usage.bytes_up for d in devices]),
                "bytes_down": _spread([d.usage.bytes_down for d in devices]),
                "bytes_stored": _spread([d.bytes_stored for d in devices]),
            },
            "outcomes": _nested(dict(sorted(self.fleet.counts.items()))),
            "model_version": self.fleet.model.version if self.fleet.model else None,
            "task_version": self.fleet.task.task_version if self.fleet.task else None,
            "seed": self._settings.seed,
        }

    async def _call(self, pool: ThreadPoolExecutor, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, function)


def _line_of(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"the fleet failed, report it: {type(error).__name__}: {' '.join(str(error).split())} "
        f"({Path(place.filename).name}:{place.lineno}); started again, it goes on from its last snapshot"
    )


def partitions(kafka: KafkaSettings, topic: str) -> list[int]:
    """The numbers of a topic's partitions; raises `ConnectionFailed` where there is no such topic."""
    if not (found := bounds(kafka, topic)):
        raise ConnectionFailed(f"Kafka at {kafka.bootstrap} has no topic {topic}: replay a log to it first")
    return sorted(number for _, number in found)


def one_thread() -> None:
    """Let torch compute on one thread: trainings are many small steps, and another core has other work."""
    torch.set_num_threads(1)


def _by_topic(positions: dict[Partition, int]) -> dict[str, dict[int, int]]:
    topics: dict[str, dict[int, int]] = {}
    for (topic, number), offset in positions.items():
        if offset >= 0:
            topics.setdefault(topic, {})[number] = offset
    return topics


def _nested(counts: dict[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (what, outcome), n in counts.items():
        nested.setdefault(what, {})[outcome] = n
    return nested


def _spread(values: list[float] | list[int]) -> dict[str, float | None]:
    """Count, median, 99th percentile and sum; None where there is nothing."""
    if not values:
        return {"count": 0, "p50": None, "p99": None, "sum": None}
    p50, p99 = np.quantile(values, [0.5, 0.99])
    return {
        "count": len(values),
        "p50": round(float(p50), 3),
        "p99": round(float(p99), 3),
        "sum": round(float(sum(values)), 3),
    }
