"""A dataflow as a process of its own, on an embedded Kafka of this one."""

import multiprocessing
import os
import random
import runpy
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from index.pool import Pool
from models.artefact import model_to_bytes
from models.cloud_model import CloudModel, random_model
from models.sample import SampleBlock, decode_samples
from streams.bus import Message
from streams.kafka.admin import ensure_topics
from streams.kafka.bounds import bounds, read_between
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.lag import GroupPositions
from streams.kafka.producer import CheckedProducer
from streams.kafka.topics import CANDIDATES, DEAD_LETTERS, EVENTS, FLOW_GROUP, MODELS, REQUESTS, SAMPLES
from wire.batch import decode_batch
from wire.candidates import CandidateBatch, Candidates
from wire.event import Event, encode_event
from wire.ids import item_keys, sample_key
from wire.signing import new_keys, sign_model
from wire.telemetry import MatchRequest, encode_report

ROOT = Path(__file__).parents[3]
PARTITIONS = 4  # of the embedded broker
START_MS = 1_600_000_000_000
PATIENCE_S = 60
PRIVATE, PUBLIC = new_keys()
# A process that imported everything once, and of which each dataflow is a fresh fork: importing torch takes seconds.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["pytest", "streams.flow.process", __name__])


def model(version: int = 1, lineage: str = "", replaces: tuple[str, ...] = ()) -> CloudModel:
    items, categories = item_keys([f"item-{n}" for n in range(50)]), item_keys([f"kind-{n}" for n in range(5)])
    made = random_model(items, categories, seed=version, version=version)
    return replace(made, lineage=lineage, replaces=replaces)


def event(number: int, user: str, label: Literal[0, 1] = 1, timestamp: int | None = None) -> Event:
    at = START_MS + number * 1000 if timestamp is None else timestamp
    item = number * 7919 % 50
    return Event(f"event-{number}", user, f"item-{item}", f"kind-{item % 5}", "click", label, at)


def stream(n: int, users: int = 12, seed: int = 0, first: int = 0) -> list[Event]:
    """n events a second apart; each user's labels alternate, so that no two samples of a label are equally similar."""
    rng, counts = random.Random(seed), [0] * users
    found = []
    for number in range(first, first + n):
        user = rng.randrange(users)
        counts[user] += 1
        found.append(event(number, f"user-{user}", 1 if counts[user] % 2 else 0))
    return found


def keys(events: Iterable[Event]) -> set[int]:
    return {sample_key(e.event_id) for e in events}


def wait_until(holds: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"after {timeout_s:g} s still waiting: {what}"
        time.sleep(0.05)


class World:
    """What tests say to a Kafka, and what they read from it."""

    def __init__(self, bootstrap: str) -> None:
        self.settings = KafkaSettings(bootstrap)
        self.bus = KafkaBus(self.settings)
        ensure_topics(self.settings)
        self._producer = CheckedProducer(self.settings)

    def send(self, events: Iterable[Event]) -> None:
        for e in events:
            self._producer.send(EVENTS, e.user_id, encode_event(e))
        self._producer.flush()

    def send_raw(self, raw: bytes, topic: str = EVENTS) -> None:
        self._producer.send(topic, b"", raw)
        self._producer.flush()

    def ask(self, users: Iterable[str], newest_seq: int = -1) -> None:
        for user in users:
            self._producer.send(REQUESTS, user, encode_report(MatchRequest(user, "connected", newest_seq)))
        self._producer.flush()

    def publish(
        self,
        version: int = 1,
        lineage: str = "",
        replaces: tuple[str, ...] = (),
        timestamp_ms: int | None = None,
    ) -> None:
        value = sign_model(model_to_bytes(model(version, lineage, replaces)), PRIVATE)
        self._producer.send(MODELS, b"current", value, timestamp_ms=timestamp_ms)
        self._producer.flush()

    def lag(self) -> int:
        with GroupPositions(self.settings, FLOW_GROUP) as group:
            return sum(group.lag(EVENTS).values()) + sum(group.lag(REQUESTS).values())

    def drained(self) -> None:
        """Wait until the dataflow is through with everything."""
        wait_until(lambda: self.lag() == 0, "the dataflow to be through")

    def read(self, topic: str) -> list[Message]:
        """Everything on a topic."""
        return list(read_between(self.settings, "tests", bounds(self.settings, topic)))

    def batches(self) -> list[CandidateBatch]:
        """All candidate batches, per user in the order sent."""
        return [decode_batch(message.value) for message in self.read(CANDIDATES)]

    def samples(self) -> SampleBlock:
        return decode_samples([message.value for message in self.read(SAMPLES)])

    def dead_letters(self) -> dict[bytes, str]:
        """Raw bytes and reason."""
        return {message.value: message.headers["reason"].decode() for message in self.read(DEAD_LETTERS)}


class Flow:
    """`coda flow` on `folder/pool` and `folder/state`; what it says goes to `folder/log`."""

    def __init__(self, world: World, folder: Path, *flags: str, module: str = "streams.cli") -> None:
        self.module = module
        folder.mkdir(exist_ok=True)
        self.folder, self.log = folder, folder / "log"
        pool, state = str(folder / "pool"), str(folder / "state")
        everyone = () if "--min-users" in flags else ("--min-users", "1")
        self._flags = [*everyone, "--bootstrap", world.settings.bootstrap, "--pool", pool, "--state", state, *flags]
        self.start()

    def start(self) -> None:
        command = [self.module, "flow", "--epoch", "100ms", *self._flags]
        self.log.touch()
        self.process = _FORKS.Process(target=_run, args=(command, self.log))
        self.process.start()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def stop(self) -> int:
        os.kill(self.pid, signal.SIGINT)
        return self.ended()

    def ended(self) -> int:
        """The exit code, once it has one."""
        self.process.join(PATIENCE_S)
        assert self.process.exitcode is not None, f"it goes on after {PATIENCE_S} s"
        return self.process.exitcode

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def said(self) -> str:
        return self.log.read_text()

    def children(self) -> list[int]:
        """The processes that a supervisor started (Linux)."""
        return [int(child) for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def pooled(self) -> list[int]:
        """The samples in all shards, of a dataflow that has ended."""
        found: list[int] = []
        for shard in sorted((self.folder / "pool").glob("shard-*")):
            with Pool.open(shard, read_only=True) as pool:
                found += [int(key) for block in pool.store.read() for key in block.sample]
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.exitcode is None:
            self.process.terminate()  # so that a supervisor ends its children
            self.ended()


def _run(command: list[str], log: Path) -> None:
    """What a process does that is started as `python -m COMMAND`; what it says goes to `log`."""
    os.chdir(ROOT)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


def rows(candidates: Candidates) -> list[tuple[int, int, int]]:
    """What a batch holds, in an order that does not depend on shards."""
    return sorted(zip(candidates.item.tolist(), candidates.label.tolist(), candidates.age_s.tolist(), strict=True))
