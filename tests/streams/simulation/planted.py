"""Bugs that are put into the product on purpose, one at a time: each must be caught within 200 seeds, by the invariant
that is there for it.

python -m tests.streams.simulation.planted
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np
import structlog
import torch

from operators.event_keys import EventKeys
from streams.simulation.plan import draw
from streams.simulation.run import simulate
from wire.identity import ModelId
from wire.succession import Verdict

SEEDS = range(1, 201)
Plant = Callable[[], Any]


@dataclass(frozen=True)
class Caught:
    """By which seed, after how many seconds."""

    seed: int
    seconds: float


@contextmanager
def no_dedupe() -> Iterator[None]:
    """A user's events count as often as they come."""
    from operators.user import UserState

    def handle(self: UserState, *args: Any) -> Any:
        self.seen = _Never()
        return real(self, *args)

    real = UserState.handle
    with patch.object(UserState, "handle", handle):
        yield


class _Never(EventKeys):
    def __contains__(self, key: object) -> bool:
        return False


@contextmanager
def ack_before_write() -> Iterator[None]:
    """The tunnel tells a device that its events have arrived before Kafka has them."""
    from streams.tunnel.courier import Courier

    with patch.object(Courier, "arrived", lambda _: True):
        yield


@contextmanager
def version_check_off() -> Iterator[None]:
    """A device takes batches of any cloud model."""
    from device_sim.arrivals import judge_batch

    def judge(device: Any, batch: Any) -> Any:
        return judge_batch(device, msgspec.structs.replace(batch, model=device.model))

    with patch("device_sim.device.judge_batch", judge):
        yield


@contextmanager
def another_devices_batch() -> Iterator[None]:
    """A device takes a retained batch that was made for another one."""
    from device_sim.arrivals import judge_batch

    def judge(device: Any, batch: Any) -> Any:
        return judge_batch(device, msgspec.structs.replace(batch, user_id=device.user_id))

    with patch("device_sim.device.judge_batch", judge):
        yield


@contextmanager
def eviction_off_by_one() -> Iterator[None]:
    """A pool lets one sample too many go."""
    from index import window

    real = window.nth_oldest
    with patch("index.pool.nth_oldest", lambda at, sample, n: real(at, sample, min(n + 1, len(at)))):
        yield


@contextmanager
def last_batch_lost_at_reconnect() -> Iterator[None]:
    """The tunnel does not let the broker retain batches, so that who comes back gets none."""
    from streams.tunnel.downlink import Downlink

    def send(self: Downlink) -> None:
        client, self._client = self._client, _Forgetful(self._client)
        real(self)
        self._client = client

    real = Downlink._send
    with patch.object(Downlink, "_send", send):
        yield


class _Forgetful:
    """A client that retains nothing."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def publish(self, topic: str, payload: bytes, **how: Any) -> None:
        self._client.publish(topic, payload, **{**how, "retain": False})


@contextmanager
def watermark_stuck_when_idle() -> Iterator[None]:
    """Events that are held for being ahead are forgotten when nothing comes behind them."""
    from operators.event_time import PartitionLogic

    with patch.object(PartitionLogic, "notify_at", lambda _: None):
        yield


@contextmanager
def late_shard_answers_dropped() -> Iterator[None]:
    """What a shard answers after another one has is passed over."""
    from operators.gather import GatherState

    def handle(self: GatherState, replies: Any, *args: Any) -> Any:
        return real(self, [reply for reply in replies if reply.seq not in self.waiting], *args)

    real = GatherState.handle
    with patch.object(GatherState, "handle", handle):
        yield


@contextmanager
def telemetry_counted_twice() -> Iterator[None]:
    """Every report adds to the sums, and takes no older one's place."""
    from streams.training.newest import Newest

    def put(self: Newest, device: str, boot: int, sequence: int, sums: Any) -> Any:
        self.total += sums
        return sums

    with patch.object(Newest, "put", put):
        yield


@contextmanager
def offset_before_sync() -> Iterator[None]:
    """Positions are committed before what they cover is on disk."""
    from operators.shard import Shard

    with patch.object(Shard, "sync", lambda _: 0):
        yield


@contextmanager
def outbox_forgets_before_the_receipt() -> Iterator[None]:
    """A device forgets an event once it has sent it."""
    from device_sim.outbox import Outbox

    def due(self: Outbox, now_ms: int) -> list[bytes]:
        found = real(self, now_ms)
        self.confirm(list(self.state()))
        return found

    real = Outbox.due
    with patch.object(Outbox, "due", due):
        yield


@contextmanager
def every_clock_is_believed() -> Iterator[None]:
    """The dataflow takes events of a device whose clock is a day ahead."""
    import operators.decode
    from operators.event_time import EventClock

    def begin(self: EventClock, lead_ms: int) -> None:
        real(self, 1000 * lead_ms + 10**12)

    real = EventClock.__init__
    with patch.object(operators.decode, "SKEW_MS", 10**12), patch.object(EventClock, "__init__", begin):
        yield


@contextmanager
def one_user_is_an_audience() -> Iterator[None]:
    """An item that one user takes often counts as taken by many."""
    from operators.audience import Audience

    def admit(self: Audience, samples: Any, min_users: int) -> Any:
        self._takers.update(sample.sample for sample in samples)
        return real(self, samples, min_users)

    real = Audience.admit
    with patch.object(Audience, "admit", admit):
        yield


@contextmanager
def heads_of_another_device() -> Iterator[None]:
    """Of devices that trained together each predicts with another's heads."""
    from device_sim.parameter_store import ParameterStore

    def keep(self: ParameterStore, slots: Any, head: Any, heads: Any, factors: Any) -> None:
        real(self, slots, head, heads.take((np.arange(len(slots)) - 1) % max(len(slots), 1)), factors)

    real = ParameterStore.keep
    with patch.object(ParameterStore, "keep", keep):
        yield


@contextmanager
def every_model_is_taken() -> Iterator[None]:
    """The tunnel passes on any cloud model that comes, be it older or a stranger's, and devices take it."""
    with ExitStack() as plants:
        for place in ("device_sim.offer", "device_sim.device", "wire.succession"):
            plants.enter_context(patch(f"{place}.judge", _adopted))
        yield


def _adopted(current: ModelId, offered: ModelId, _: object = ()) -> Verdict:
    return Verdict.REPEATED if offered == current else Verdict.ADOPTED


@contextmanager
def training_on_the_batch_before() -> Iterator[None]:
    """A device trains on the batch that it trained on before."""
    from device_sim.device import _HANDLERS, Device
    from device_sim.stimulus import TrainingSlot

    def slot(self: Device, *args: Any) -> Any:
        before = self._batch_in_training
        return [msgspec.structs.replace(train, batch=before or train.batch) for train in real(self, *args)]

    real: Any = _HANDLERS[TrainingSlot]
    with patch.dict(_HANDLERS, {TrainingSlot: slot}):
        yield


@contextmanager
def one_goes_for_many() -> Iterator[None]:
    """A pool lets one sample go, however many came."""
    from index import window

    real = window.nth_oldest
    with patch("index.pool.nth_oldest", lambda at, sample, _: real(at, sample, 1)):
        yield


@contextmanager
def superseded_pushes_uncounted() -> Iterator[None]:
    """A tunnel forgets a push that a newer one takes the place of."""
    from streams.tunnel.ledger import SUPERSEDED, Ledger

    def end(self: Ledger, device: str, outcome: str) -> None:
        real(self, device, outcome)
        self._ended[outcome] -= outcome == SUPERSEDED

    real = Ledger._end
    with patch.object(Ledger, "_end", end):
        yield


@contextmanager
def history_lost_at_restart() -> Iterator[None]:
    """A device that is restored no longer knows what its user took."""
    from models.history import History

    class Lost(History):
        @classmethod
        def restore(cls, *_: object) -> History:
            return History()

    with patch("device_sim.at_rest.History", Lost):
        yield


# What catches each, and a seed that is known to, which is tried before all others.
PLANTED: dict[str, tuple[Plant, str, int]] = {
    "no dedupe": (no_dedupe, "no-duplicate-effect", 11),
    "ack before write": (ack_before_write, "no-event-lost", 28),
    "retained batch of another device": (another_devices_batch, "newest-batch-wins", 73),
    "version check off": (version_check_off, "versions-never-mix", 5),
    "eviction off by one": (eviction_off_by_one, "no-event-lost", 19),
    "last batch lost at reconnect": (last_batch_lost_at_reconnect, "newest-batch-wins", 2),
    "watermark stuck when idle": (watermark_stuck_when_idle, "every-wait-ends", 23),
    "late shard answers dropped": (late_shard_answers_dropped, "every-wait-ends", 2),
    "telemetry counted twice": (telemetry_counted_twice, "telemetry-adds-up", 1),
    "offset committed before the write is synced": (offset_before_sync, "no-event-lost", 6),
    "outbox forgets before the receipt": (outbox_forgets_before_the_receipt, "no-event-lost", 1),
    "an item that one user took often goes on": (one_user_is_an_audience, "nothing-rare", 2),
    "heads of another device": (heads_of_another_device, "heads-as-learned", 7),
    "clock of one device a day ahead": (every_clock_is_believed, "never-older-than-delay", 28),
    "every model that comes is taken": (every_model_is_taken, "monotonic-versions", 5),
    "training on the batch before": (training_on_the_batch_before, "no-stale-training", 1),
    "one sample goes, however many come": (one_goes_for_many, "bounded-memory", 4),
    "superseded pushes not counted": (superseded_pushes_uncounted, "accounts-close", 2),
    "history lost at a restart": (history_lost_at_restart, "convergence", 7),
}


def hunt(plant: Plant, by: str, seeds: Iterable[int]) -> Caught | None:
    """The first of the seeds by which this invariant catches the bug."""
    began_s = time.perf_counter()
    with plant():
        for seed in seeds:
            violation = simulate(draw(seed), converge=by == "convergence").violation
            if violation is not None and violation.name == by:
                return Caught(seed, time.perf_counter() - began_s)
    return None


def main() -> None:
    """The table."""
    torch.set_num_threads(1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print("| planted bug | caught by | seed | after s |\n|---|---|---|---|")  # noqa: T201
    for name, (plant, by, _) in PLANTED.items():
        caught = hunt(plant, by, SEEDS)
        told = f"{caught.seed} | {caught.seconds:.0f}" if caught else "never | –"
        print(f"| {name} | {by} | {told} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
