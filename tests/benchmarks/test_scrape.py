"""Snapshots: parsing what prometheus_client writes, and their sums."""

import pytest

from benchmarks.scrape import parse, scrape, together
from tests.benchmarks.exposition import Process


def test_counters_are_summed_over_their_labels() -> None:
    process = Process()
    process.count("coda_events_rejected", 3, reason="late")
    process.count("coda_events_rejected", 4, reason="malformed")
    snapshot = parse(process.text())
    assert snapshot.total("coda_events_rejected_total") == 7
    assert snapshot.total("coda_no_such_thing_total") == 0


def test_processes_together_add_up_except_for_the_model_version() -> None:
    one, two = Process(), Process()
    for process, version in ((one, 2), (two, 3)):
        process.count("coda_events_produced", 5)
        process.show("coda_model_version", version)
        process.age("pooled", 0.15)
    snapshot = together([parse(one.text()), parse(two.text())])
    assert snapshot.total("coda_events_produced_total") == 10
    assert snapshot.total("coda_model_version") == 3
    assert snapshot.histogram("coda_freshness_seconds", stage="pooled").count == 2


def test_a_process_that_does_not_answer_is_an_os_error() -> None:
    with pytest.raises(OSError):
        scrape("http://127.0.0.1:9/metrics", timeout_s=0.5)
