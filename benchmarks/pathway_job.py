"""The job of `benchmarks.alternatives` in Pathway: decode, dedupe, live indexes, a query each so many events.

python -m benchmarks.pathway_job FOLDER KIND        KIND: brute-force, usearch, or none to decode and dedupe only

Runs where Pathway is installed and none of our packages. The folder has `events.jsonl`, and in `job.npz` which distinct
event each line is (`row`), the match keys of these (`vectors`), and `settings`: lines in a commit, events for each
query, the best k of each label, the share of queries whose answers are kept. One line of JSON comes out, and kept
answers in `KIND.npz`.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pathway as pw
from pathway.internals.api import ref_scalar

from benchmarks.own_process import Growth


class Job:
    """What the folder says."""

    def __init__(self, folder: Path) -> None:
        self.lines = (folder / "events.jsonl").read_bytes().split(b"\n")
        with np.load(folder / "job.npz") as arrays:
            self.row, self.vectors = arrays["row"], arrays["vectors"]
            self.commit, self.every, self.k, self.checked_every = arrays["settings"].tolist()


class Event(pw.Schema):  # type: ignore[misc]
    """What the job reads of an event."""

    row: int
    event_id: str
    label: int


class Log(pw.io.python.ConnectorSubject):  # type: ignore[misc]
    """The events as if Kafka had them ready: so many in each commit, as in each pass of a dataflow."""

    deletions_enabled = False

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def run(self) -> None:
        """Decode and send all."""
        for at, (row, line) in enumerate(zip(self._job.row.tolist(), self._job.lines, strict=True), 1):
            event = json.loads(line)
            self.next(row=row, event_id=event["event_id"], label=event["label"])
            if at % self._job.commit == 0:
                self.commit()


class Answers:
    """Counts answers, and keeps one in so many: the rows found, by query."""

    def __init__(self, job: Job) -> None:
        self._keys = {
            ref_scalar(json.loads(line)["event_id"]): row for line, row in zip(job.lines, job.row, strict=True)
        }
        self._checked = job.every * job.checked_every
        self.count = 0
        self.kept: dict[tuple[int, int], list[int]] = {}

    def of(self, label: int) -> Any:
        """What to call with each answer."""

        def on_change(key: Any, row: dict[str, Any], time: int, is_addition: bool) -> None:  # noqa: ARG001
            self.count += 1
            query = self._keys[key]
            if (query + 1) % self._checked == 0:
                (reply,) = row.values()
                self.kept[query, label] = [self._keys[found] for found, _ in reply]

        return on_change


def index_of(kind: str, column: Any, job: Job) -> Any:
    """A live index with Pathway's own settings."""
    room = {"dimensions": job.vectors.shape[1], "reserved_space": len(job.vectors)}
    if kind == "usearch":
        return pw.indexing.USearchKnn(column, None, metric=pw.indexing.USearchMetricKind.COS, **room)
    return pw.indexing.BruteForceKnn(column, None, metric=pw.indexing.BruteForceKnnMetricKind.COS, **room)


def build(job: Job, kind: str, answers: Answers) -> None:
    """The dataflow."""

    events = pw.io.python.read(Log(job), schema=Event, autocommit_duration_ms=None, max_backlog_size=2 * job.commit)
    first = events.deduplicate(
        value=pw.this.row,
        instance=pw.this.event_id,
        acceptor=lambda new, old: False,  # noqa: ARG005
    )
    if kind == "none":
        pw.io.subscribe(first, lambda key, row, time, is_addition: None)  # noqa: ARG005
        return
    samples = first.select(
        pw.this.row, pw.this.label, vector=pw.apply_with_type(job.vectors.__getitem__, np.ndarray, pw.this.row)
    )
    queries = samples.filter(samples.row % job.every == job.every - 1)
    for label in (0, 1):
        index = index_of(kind, samples.filter(samples.label == label).vector, job)
        pw.io.subscribe(index.query_as_of_now(queries.vector, number_of_matches=job.k), answers.of(label))


def main(folder: Path, kind: str) -> None:
    """Run, and say what it took."""
    job = Job(folder)
    answers = Answers(job)
    build(job, kind, answers)
    growth, began_s = Growth(), time.process_time()
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    cpu_s, memory = time.process_time() - began_s, growth.most_bytes
    queries = sorted({query for query, _ in answers.kept})
    found = np.full((len(queries), 2, job.k), -1)
    for at, query in enumerate(queries):
        for label in (0, 1):
            some = answers.kept[query, label]
            found[at, label, : len(some)] = some
    np.savez(folder / f"{kind}.npz", query=np.array(queries, np.int64), found=found)
    print(json.dumps({"cpu_s": cpu_s, "memory_bytes": memory, "queries": answers.count // 2}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
