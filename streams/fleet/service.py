"""A fleet a step at a time: Kafka and MQTT in, the devices' sans-I/O core in the middle, MQTT and files out.

A step is a round: own events from Kafka, whatever came over MQTT, predictions in one batch, what devices want
published. What takes long is done by `Hands`, and asked about in the next steps: one training at a time, so that
predictions never wait for trainings, and chores (scores, snapshots, lags).
"""

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import structlog

from device_sim.due import GROUP
from device_sim.fleet import Fleet
from device_sim.link import Link
from device_sim.outcome import Events
from device_sim.scoreboard import Scoreboard, compute_ms_of
from device_sim.state import FleetState, Resumed
from device_sim.stimulus import OwnEvent
from device_sim.training import Attempt
from monitor.metrics import Metrics
from streams.bus import Bus, Consumer, Message, Partition
from streams.fleet.account import Account, account_of
from streams.fleet.attendance import Attendance
from streams.fleet.drop import Drop
from streams.fleet.errand import Chore, Errand, Work
from streams.fleet.hands import Hands
from streams.fleet.inbox import Inbox
from streams.fleet.names import Names
from streams.fleet.result import result_of
from streams.fleet.settings import FleetSettings
from streams.fleet.trained import FleetTrained
from streams.home import FILE, settle
from streams.kafka.topics import FLEET_GROUP
from wire.clock import Clock
from wire.errors import ConnectionFailed, DeliveryError, InputError
from wire.event import Event, decode_event
from wire.malformed import Malformed

POLL_S = 0.01  # how long a round waits for events: what came over MQTT meanwhile waits at most as long
CALM_MS, IDLE_POLL_S = 300, 0.2  # once nothing came for a while, and nobody trains, a round waits longer
# Of a round: at 90 µs each, where each is of another device, they hold up MQTT for 45 ms. Where a snapshot waits for
# these devices each takes some 50 µs more, and then it takes down another 128.
POLL_MESSAGES, POLL_IN_SNAPSHOT = 500, 256
# A training alone costs almost three times its share of a full group (`benchmarks.training`), so who is due waits for
# company. 50 trainings a second (1,000 events/s) are groups of 20 so, of some 4 ms each: a fifth of a core, half of one
# if each began at once. Who is due just after a group began waits 400 ms for the next one and the 90 that it computes,
# after 130 for the push: a third of the second that a training may take from its event on is left.
TRAIN_EVERY_MS = 400
TICK_MS = 1_000
REPORT_MS = 2_000  # between live scores
POSITIONS_MS = 1_000  # between positions told on a forgetful bus
SNAPSHOT_MS = 2_000
SAY_EVERY_MS = 10_000
MOST_DEVICES = 10_000  # of one process, 3.5 GB; whose user comes back gets a new one

log = structlog.get_logger(__name__)


class FleetService:
    """One run of a fleet, resumed from `settings.state` when there is something in it.

    Until the first cloud model and task have come it reads no events: none could be predicted.
    """

    def __init__(
        self, settings: FleetSettings, bus: Bus, link: Link, clock: Clock, *, hands: Hands, metrics: Metrics
    ) -> None:
        self._settings, self._bus, self._link, self._clock = settings, bus, link, clock
        self._hands, self._metrics = hands, metrics
        metrics.base.labels(settings.base).set(1)
        self._state = FleetState(settings.state)
        now_ms = clock.wall_ms()
        begun = self._state.resume(metrics, uploads=settings.uploads, seed=settings.seed, now_ms=now_ms)
        if begun is None:
            _check_unused(settings.state)
            begun = Resumed(
                Fleet(metrics, uploads=settings.uploads, seed=settings.seed, boot=now_ms), {}, {"run": now_ms}
            )
        self.fleet = begun.fleet
        self.positions = {(t, p): o for t, ps in begun.positions.items() for p, o in ps.items()}
        self.board = Scoreboard(settings.out, begun.recorded)
        # Before anything is recorded or reported: records without a state are nobody's to go on with, and what this run
        # reports is newer than what another one did that was killed.
        self._state.note(self.fleet, begun.positions, self.board.flush())
        self._state.write()
        self._inbox = Inbox(self.fleet, settings.cloud_key)
        self._subscribing: Future[Consumer] | None = None
        self._consumer: Consumer | None = None
        self._job: Future[list[Attempt]] | None = None
        self._train_at_ms = self._say_at_ms = self._stirred_ms = 0
        self.trained = FleetTrained(clock)
        self.names = Names()
        self._chores = [
            Chore(clock, TICK_MS, self._tick),
            Chore(clock, REPORT_MS, self._report),
            Chore(clock, SNAPSHOT_MS, self._snapshot),
            Chore(clock, POSITIONS_MS, self._tell_positions, sparing=False),  # waits for the broker and costs nothing
        ]
        self._ending: Errand | None = None
        self._attendance = Attendance(self.fleet, link, clock, settings.orders)
        for user_id in self.fleet.devices:
            self._attendance.welcome(user_id)

    @property
    def reads(self) -> bool:
        """Whether it has a consumer of own events by now."""
        return self._consumer is not None

    def poll(self) -> list[Message]:
        """The next own events, for `step`; the one thing that may be done by another thread, `hands.polling`."""
        if self._consumer is None:
            return []
        calm = self._clock.steady_ms() - self._stirred_ms > CALM_MS
        most = POLL_IN_SNAPSHOT if self.fleet.changes.waiting else POLL_MESSAGES
        return self._consumer.poll(most, IDLE_POLL_S if calm else POLL_S)

    def step(self, messages: Sequence[Message]) -> None:
        """One round, with what `poll` gave."""
        if self._take_arrivals() or messages or self._job is not None:
            self._stirred_ms = self._clock.steady_ms()
        if self._consumer is None:
            self._begin()
            return
        self._attendance.look()
        if events := self._decoded(messages):
            self.fleet.handle_events(events, self._clock.wall_ms())
        self.positions = self._consumer.positions()  # no message more than those of this round; markers passed over
        self._train()
        self._publish()
        self._retire()
        self.board.add(self.fleet.take_predictions())
        self.board.add_trainings(self.fleet.take_trainings())
        for chore in self._chores:
            chore.step()

    def finish(self) -> bool:
        """End in order, a step at a time and without further events; whether that is done."""
        if self._ending is None:
            self._ending = Errand(self._end())
        unfinished = [chore for chore in self._chores if not chore.finish()]
        return not unfinished and self._ending.step()

    def close(self) -> None:
        """Let the connections go, by `hands.polling`; commits nothing."""
        if self._subscribing is not None and self._subscribing.exception() is None:
            self._subscribing.result().close()

    def account(self) -> Account:
        """What it knows at its end that is not in its records."""
        orders = self._settings.orders
        drop = orders.account if isinstance(orders, Drop) else None
        return account_of(self.fleet, self.board.events, self._arms, drop)

    def result(self) -> dict[str, Any]:
        """The result document; the records are one file after that."""
        scores, compute_ms = self.board.scores(self._arms), compute_ms_of(self._settings.out)
        self.board.merge(self._arms)
        return result_of([self.account()], scores, compute_ms, base=self._settings.base, seed=self._settings.seed)

    @property
    def _arms(self) -> Sequence[str]:
        """The arms that the newest task compares."""
        task = self.fleet.offer.task
        return task.compared if task is not None else ("cloud",)

    def _begin(self) -> None:
        """Read own events once there are a cloud model and a task."""
        if self._subscribing is not None:
            if self._subscribing.done():
                self._consumer = self._subscribing.result()
        elif self.fleet.offer.model is not None and self.fleet.offer.task is not None:
            self._subscribing = self._hands.polling.submit(self._subscribed)
        elif (now_ms := self._clock.steady_ms()) >= self._say_at_ms:
            self._say_at_ms = now_ms + SAY_EVERY_MS
            log.info("waiting for the first cloud model and task: `coda train-cloud` and `coda tunnel` bring them")

    def _subscribed(self) -> Consumer:
        topic = self._settings.topic
        home = self._bus.home([topic])
        settle(self._settings.state, home, "give another --state and --out, or delete both, and devices start anew")
        if not (kept := self._bus.bounds(topic)):
            raise ConnectionFailed(f"{self._bus.name} has no topic {topic}: replay a log to it first")
        one_of = self._settings.one_of
        own = [each for each in kept if one_of.has(each[1])]
        begin = dict.fromkeys(own, 0 if self._bus.forgetful else None)  # what was dropped is to be said, not skipped
        topics = [topic] if one_of.alone else []  # of which partitions are read that come later: else they are shared
        return self._bus.consumer(FLEET_GROUP, topics, "earliest", assign={**begin, **self.positions})

    def _take_arrivals(self) -> int:
        arrivals = self._link.take()
        for arrival in arrivals:
            self._inbox.take(arrival, self._clock.wall_ms())
        return len(arrivals)

    def _decoded(self, messages: Sequence[Message]) -> list[OwnEvent]:
        """The events of our devices' users; connects users seen for the first time."""
        events = []
        for message in messages:
            try:
                event = decode_event(message.value)
            except Malformed:
                self.fleet.count(Events.MALFORMED)
                continue
            if self._ours(event.user_id):
                self.names.hear((event.item_id, event.category_id))
                events.append(OwnEvent(self._stamped(event), message.timestamp_ms))
        return events

    def _stamped(self, event: Event) -> Event:
        """The event as the device that is its origin stamps it, by its own clock."""
        off_ms = self.fleet.clocks.off_ms.get(event.user_id, 0) if self._settings.uploads else 0
        return msgspec.structs.replace(event, timestamp=max(0, event.timestamp + off_ms)) if off_ms else event

    def _ours(self, user_id: str) -> bool:
        if user_id in self.fleet.devices:
            return True
        if user_id in self.fleet.quarantine:
            self.fleet.count(Events.QUARANTINED)
            return False
        if self._settings.devices is not None and len(self.fleet.devices) >= self._settings.devices:
            return False
        self.fleet.device(user_id)
        self._attendance.welcome(user_id)
        return True

    def _publish(self) -> None:
        for user_id, publish in self.fleet.take_outgoing():
            self._link.publish(user_id, publish.leaf, publish.payload)

    def _retire(self) -> None:
        """Let devices go where everyone was to have one, and there are too many; disconnect whoever is gone."""
        if self._settings.devices is None and (retired := self.fleet.retire(MOST_DEVICES)):
            log.warning(f"more than {MOST_DEVICES} devices: those idle longest retired", devices=retired)
        for user_id in self.fleet.take_gone():
            self._attendance.forget(user_id)
            self._link.leave(user_id)

    def _train(self) -> None:
        """Apply the training that is done; begin the next when a group is full or the last one began a while ago."""
        if self._job is not None and self._job.done():
            self._finish_training(self._job)
        now_ms, waiting = self._clock.steady_ms(), len(self.fleet.due)
        patient = waiting < GROUP or self._attendance.rules  # of those who wait perhaps nobody may
        if self._job is not None or not waiting or (patient and now_ms < self._train_at_ms):
            return
        self._train_at_ms = now_ms + TRAIN_EVERY_MS
        job = self.fleet.begin_training(self._clock.wall_ms(), may=self._attendance.may_train)
        if job is None:
            self.trained.nobody()
        else:
            devices = self.fleet.devices
            self.trained.began(map(devices.__getitem__, job.users), map(devices.__getitem__, self.fleet.due))
            self._job = self._hands.training.submit(job.attempt, self._hands.cpu_s)

    def _finish_training(self, job: Future[list[Attempt]]) -> None:
        self._job = None
        self.fleet.finish_training(job.result(), self._clock.wall_ms())
        self.trained.ended()

    def _tick(self) -> Work:
        self.fleet.tick(self._clock.wall_ms())
        self.fleet.show()
        yield from ()

    def _report(self) -> Work:
        scores = self.board.scores(self._arms)
        if len(scores):
            yield self._hands.aside.submit(scores.show, self._metrics)

    def _snapshot(self) -> Work:
        """The fleet, its records and its positions, as of one moment between rounds; then tell Kafka."""
        positions = dict(self.positions)  # of what was handled: a poll may be ahead of it just now
        yield from self._state.noting(self.fleet, _by_topic(positions), self.board.flush())
        yield self._hands.aside.submit(self._state.write)
        try:
            yield self._commit(positions)
        except DeliveryError as error:  # the snapshot is what counts; the next one tells Kafka again
            log.warning(f"positions are in the snapshot but not in Kafka: {error}")

    def _commit(self, positions: dict[Partition, int]) -> Future[bool]:
        assert self._consumer is not None, "who has no consumer has no chores"
        return self._hands.polling.submit(self._consumer.commit, positions)

    def _tell_positions(self) -> Work:
        """Commit between snapshots, too, on a forgetful bus: nothing of it outlives a crash, and the replay waits."""
        if self._bus.forgetful:
            with suppress(DeliveryError):  # Kafka is away: the consumer says so, and it comes back
                yield self._commit(dict(self.positions))

    def _end(self) -> Work:
        if self._job is not None:
            job = self._job
            yield job
            self._finish_training(job)
        self._publish()
        self.board.add_trainings(self.fleet.take_trainings())
        if self._consumer is not None:
            yield from self._snapshot()


def _by_topic(positions: dict[Partition, int]) -> dict[str, dict[int, int]]:
    topics: dict[str, dict[int, int]] = {}
    for (topic, number), offset in positions.items():
        if offset >= 0:
            topics.setdefault(topic, {})[number] = offset
    return topics


def _check_unused(folder: Path) -> None:
    """Raise `InputError` when another part keeps its state there: a fleet writes its own before it notes its Kafka."""
    if (folder / FILE).exists():
        raise InputError(f"{folder} holds the state of something else and no fleet's: give another --state")
