"""The replay: a log's events go to Kafka at their pace, each of them once in effect, and no row is lost silently."""

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from monitor.accounting import MALFORMED_ROW
from monitor.metrics import Metrics
from streams.bus import Bus, Producer
from streams.kafka.topics import DEAD_LETTERS
from streams.logs.event_log import Rejected
from streams.replay.pacing import Pacer
from streams.replay.source import Batch, Source
from streams.replay.state import Position, ReplayState, save_state
from streams.replay.throttle import NoThrottle, Throttle
from streams.replay.view import Standing, View
from wire.clock import Clock
from wire.dead_letter import DeadLetter, Origin
from wire.errors import DeliveryError
from wire.reason import Reason
from wire.status import Frontier

_CHUNK = 5000  # events between two looks at the clock, at the view and at the throttle
_CHECKPOINT_EVERY_S = 1.0
_TICK_S = 0.02  # the finest step of pacing: below the freshness targets by far, and a request per partition each
_STOP_FLUSH_S = 10
_REASONS_SHOWN = 5
_REASONS_LISTED = 20
_STALL_NOTE_S = 5


class _Id(msgspec.Struct):
    event_id: str


@dataclass
class Totals:
    """What one run did."""

    sent: int = 0
    already_there: int = 0  # sent by an earlier run that ended before it could say so
    rejected: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "sent": self.sent,
            "already_there": self.already_there,
            "rejected": self.rejected.total(),
            "rejected_reasons": dict(self.rejected.most_common(_REASONS_LISTED)),
            "seconds": round(self.seconds, 3),
            "events_per_s": round(self.sent / self.seconds, 1) if self.seconds else 0.0,
        }


class Replay:
    """One run of a replay: `source` to `topic`, from `start` on.

    `sleep` waits by the same `clock`. With a `state_path`, what is done is saved
    every second and at the end, so that the next run goes on from there.
    """

    def __init__(
        self,
        source: Source,
        producer: Producer,
        topic: str,
        *,
        pacer: Pacer,
        throttle: Throttle | NoThrottle,
        view: View,
        identity: dict[str, str],
        state_path: Path | None = None,
        start: ReplayState | None = None,
        already_there: frozenset[str] = frozenset(),
        metrics: Metrics,
        clock: Clock,
        sleep: Callable[[float], None],
    ):
        self._source, self._producer, self._topic = source, producer, topic
        self._pacer, self._throttle, self._view = pacer, throttle, view
        self._identity, self._state_path = identity, state_path
        self._position: Position = start.position if start else {}
        self._done = self._position.get("events", 0)
        self._already_there = already_there
        self._clock, self._sleep, self._metrics = clock, sleep, metrics
        self._moment_ms = start.moment_ms if start else clock.wall_ms()
        self._saved_s = self._began_s = self._stalled_s = self._now_s()
        self._sent_ms, self._event_ms = 0, -1
        self.totals = Totals()

    @property
    def frontier(self) -> Frontier:
        """Up to which moment this is in Kafka, and up to which event time."""
        return Frontier(
            stage="produced",
            partition=-1,
            position=self._done,
            end=self._done,
            until_ms=self._sent_ms,
            event_ms=self._event_ms,
        )

    def run(self) -> Totals:
        """Send everything; whatever ends it early, the state says where the next run has to go on.

        Raises `DeliveryError` when Kafka does not take an event.
        """
        self._began_s = self._now_s()
        self._save()  # a run that is killed before its first checkpoint has sent something, too
        try:
            for batch in self._source.batches(self._position):
                self._send(batch)
        except DeliveryError:
            raise  # the last checkpoint holds; what came after it is not certain
        except BaseException:  # Ctrl-C and SIGTERM among them
            with contextlib.suppress(DeliveryError):  # Kafka is away: the last checkpoint holds
                self._checkpoint(_STOP_FLUSH_S)
            raise
        finally:
            self.totals.seconds = self._now_s() - self._began_s
        self._checkpoint(finished=True)
        self.totals.seconds = self._now_s() - self._began_s
        return self.totals

    def _send(self, batch: Batch) -> None:
        if batch.values:
            self._throttle.seen(max(map(len, batch.values)) + max(map(len, batch.keys)))
        self._send_dead_letters(batch)
        at = 0
        while at < len(batch.values):
            now_s = self._now_s()
            due = self._pacer.due(batch.timestamps, at, now_s)
            room = self._throttle.allowance(now_s, len(self._producer))
            end = min(due, at + _CHUNK, at + room)
            if room:
                self._stalled_s = now_s
            if end > at:
                self._send_events(batch, at, end)
                at = end
            else:
                self._wait(self._pacer.wait_s(int(batch.timestamps[at]), now_s))
            self._show(batch, at)
            if self._now_s() - self._saved_s >= _CHECKPOINT_EVERY_S:
                self._checkpoint()

    def _send_events(self, batch: Batch, at: int, end: int) -> None:
        keys, values = batch.keys[at:end], batch.values[at:end]
        if self._already_there:
            new = [i for i, name in enumerate(batch.ids[at:end]) if name not in self._already_there]
            self.totals.already_there += len(values) - len(new)
            keys, values = [keys[i] for i in new], [values[i] for i in new]
        self._producer.send_many(self._topic, keys, values)
        self._throttle.sent(len(values))
        self._metrics.produced.inc(len(values))
        self.totals.sent += len(values)
        self._done += end - at
        self._sent_ms, self._event_ms = self._clock.wall_ms(), int(batch.timestamps[end - 1])
        self._stand_at(batch.positions[end])

    def _send_dead_letters(self, batch: Batch) -> None:
        for row in batch.rejected:
            origin = Origin(self._identity["log"], line=row.line)
            letter = DeadLetter("event", Reason.MALFORMED, row.reason, row.raw, origin)
            if letter.key.decode() in self._already_there:
                continue
            self._producer.send(DEAD_LETTERS, letter.key, letter.value, headers=letter.headers)
            self._count_rejected(row)
        if batch.rejected:
            self._stand_at(batch.positions[0])

    def _count_rejected(self, row: Rejected) -> None:
        self._metrics.rejected.labels(reason=MALFORMED_ROW).inc()
        self.totals.rejected[row.reason] += 1
        shown = self.totals.rejected.total()
        if shown <= _REASONS_SHOWN:
            self._view.say(f"line {row.line}: {row.reason}; it goes to {DEAD_LETTERS}")
        elif shown == _REASONS_SHOWN + 1:
            self._view.say(f"more malformed rows, all of them in {DEAD_LETTERS} with their line and reason")

    def _now_s(self) -> float:
        return self._clock.steady_ms() / 1000

    def _stand_at(self, position: Position) -> None:
        self._position = position
        self._moment_ms = self._clock.wall_ms()

    def _wait(self, seconds: float) -> None:
        self._producer.poll()
        self._sleep(max(min(seconds, _CHECKPOINT_EVERY_S), _TICK_S))

    def _show(self, batch: Batch, at: int) -> None:
        now_s = self._now_s()
        rate = self.totals.sent / max(now_s - self._began_s, 1e-9)
        total = max(self._source.span.events, self._done)
        left = (total - self._done) / rate if rate else None
        if at < len(batch.timestamps):
            paced = self._pacer.wait_s(self._source.span.last_ms, now_s)
            left = max(left or 0.0, paced) or None
        group, behind = self._throttle.slowest
        stalled = bool(group) and now_s - self._stalled_s > _STALL_NOTE_S
        note = f"waiting for {group}" + (
            f", {behind:,} events behind on one partition; is it running?" if behind else ""
        )
        self._view.show(Standing(self._done, total, rate, left, note if stalled else ""))

    def _checkpoint(self, flush_s: float = float("inf"), *, finished: bool = False) -> None:
        self._producer.flush(flush_s)
        self._save(finished=finished)

    def _save(self, *, finished: bool = False) -> None:
        if self._state_path is not None:
            save_state(self._state_path, ReplayState(self._identity, self._position, self._moment_ms, finished))
        self._saved_s = self._now_s()


def find_already_there(bus: Bus, topic: str, state: ReplayState) -> frozenset[str]:
    """The event ids, and the keys of dead letters, that reached Kafka after the last checkpoint was saved.

    A replay that was killed has sent some events of which its state knows nothing. On a Kafka that can look up times
    they are found, so that they are not sent again; elsewhere they are sent twice, under the same id.
    """
    if bus.forgetful:
        return frozenset()
    ids = {_event_id(value) for _, value in _since(bus, topic, state.moment_ms)}
    return frozenset(ids | {key.decode(errors="replace") for key, _ in _since(bus, DEAD_LETTERS, state.moment_ms)})


def _since(bus: Bus, topic: str, moment_ms: int) -> list[tuple[bytes, bytes]]:
    first = bus.offsets_at(topic, moment_ms)
    ends = bus.bounds(topic)
    between = {partition: (first[partition], end) for partition, (_, end) in ends.items()}
    return [(message.key, message.value) for message in bus.read("coda-replay", between)]


def _event_id(value: bytes) -> str:
    try:
        return msgspec.json.decode(value, type=_Id).event_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""  # not ours: somebody else writes to this topic too
