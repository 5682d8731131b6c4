"""What `coda score` costs: CPU time of its whole process per event, Kafka's client and all, and how late events get.

python -m benchmarks.scoring                    made-up events of 2,000 users and 5,000 items, full speed and paced
python -m benchmarks.scoring --base online      by the regression
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.freshness import process_cpu_s
from benchmarks.streamed import moments
from monitor.histogram import Histogram
from monitor.state import freshness_since
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import SCORE_GROUP, STATUS, UNSCORED
from streams.watch.fold import Fold
from wire.event import Event, encode_event
from wire.status import decode_status

APART_MS = 10  # event time from one event to the next
PATIENCE_S = 600
_STEP_S = 0.02  # from one sending to the next, where there is a pace
_AT_ONCE = 50  # else so many at once
_SAID_S = 2.0  # a status comes each second
COLUMNS = ("user_id", "item_id", "category_id", "event_type", "label", "timestamp")


def made_up(n: int) -> list[Event]:
    """Like the moments of `benchmarks.streamed`, closer to each other."""
    found = moments(n, seed=0)
    columns = (column.tolist() for column in (found.user, found.item, found.category, found.label))
    rows = enumerate(zip(*columns, strict=True))
    return [Event(f"e{k}", f"u{u}", f"i{i}", f"c{c}", "view", y, 10**12 + APART_MS * k) for k, (u, i, c, y) in rows]


def write(path: Path, events: list[Event]) -> None:
    """As a log."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([getattr(event, name) for name in COLUMNS] for event in events)


def wait(holds: Callable[[], bool]) -> None:
    """Until it does."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"nothing came of it within {PATIENCE_S} s")
        time.sleep(0.1)


class Scorer:
    """`coda score` as a process of its own, and what is sent to it."""

    def __init__(self, bootstrap: str, folder: Path, base: str, initial: list[Event]) -> None:
        write(folder / "log.csv", initial)
        self._bus = KafkaBus(KafkaSettings(bootstrap))
        self._group, self._producer = self._bus.group(SCORE_GROUP), self._bus.producer()
        where = ("--bootstrap", bootstrap, "--state", str(folder / "state"))
        begin = ("--initial-log", str(folder / "log.csv"), "--initial-share", "1", "--base", base)
        command = [sys.executable, "-m", "streams.cli", "score", *where, *begin]
        self._process = subprocess.Popen(command)
        wait(self._reads)

    def takes(self, events: list[Event], per_s: float) -> float:
        """CPU seconds of the process for these events, sent so many a second (0: as fast as can be)."""
        before_s, began_s = process_cpu_s(self._process.pid), time.monotonic()
        many = round(per_s * _STEP_S) or 1 if per_s else _AT_ONCE
        for at in range(0, len(events), many):
            part = events[at : at + many]
            self._producer.send_many(UNSCORED, [e.user_id for e in part], [encode_event(e) for e in part])
            if per_s:
                time.sleep(max(0.0, began_s + (at + len(part)) / per_s - time.monotonic()))
        self._producer.flush()
        wait(lambda: not any(self._group.lag(UNSCORED).values()))
        return process_cpu_s(self._process.pid) - before_s

    def passed(self) -> dict[str, Histogram]:
        """The ages of all that was scored so far, by what it says of itself."""
        time.sleep(_SAID_S)
        fold = Fold()
        for message in self._bus.read("benchmark", self._bus.bounds(STATUS)):
            fold.take(decode_status(message.value), message.timestamp_ms)
        return fold.passed()

    def end(self) -> None:
        """By SIGTERM."""
        self._group.close()
        self._process.terminate()
        self._process.wait()

    def _reads(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError("coda score ended")
        return self._group.begun(UNSCORED)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", choices=("boosted", "online"), default="boosted")
    parser.add_argument("--initial", type=int, default=20_000, help="events that it begins with")
    parser.add_argument("--events", type=int, default=20_000, help="at full speed, of which it trains on the newest")
    parser.add_argument("--per-s", type=float, nargs="*", default=[1000, 100], help="and then so many a second")
    parser.add_argument("--seconds", type=float, default=10, help="for so long")
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    paced = [round(per_s * options.seconds) for per_s in options.per_s]
    events = made_up(options.initial + options.events + sum(paced))
    cuts = np.cumsum([options.initial, options.events, *paced]).tolist()
    found = {}
    with EmbeddedKafka() as kafka, tempfile.TemporaryDirectory() as folder:
        scorer = Scorer(kafka.bootstrap, Path(folder), options.base, events[: options.initial])
        try:
            for first, end, per_s in zip(cuts, cuts[1:], [0.0, *options.per_s], strict=False):
                before = scorer.passed()
                us = 1e6 * scorer.takes(events[first:end], per_s) / (end - first)
                ages = freshness_since(before, scorer.passed())["scored"]
                found[f"{per_s:g} a second" if per_s else "full speed"] = {
                    "us": round(us, 1),
                    "p50_s": ages.p50_s,
                    "p99_s": ages.p99_s,
                }
        finally:
            scorer.end()
    for pace, of in found.items():
        print(f"{options.base}, {pace}: {of['us']} µs, p50 {of['p50_s']} s, p99 {of['p99_s']} s")
    if options.json:
        options.json.write_text(json.dumps({options.base: found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
