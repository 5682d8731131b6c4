from collections.abc import Iterator

import pytest

from streams.flow.restart import Restart
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topic_watch import TopicWatch
from streams.kafka.topics import EVENTS


class Clocks:
    """A monotonic clock and a wall clock that somebody sets."""

    def __init__(self) -> None:
        self.now_s, self.wall_s = 100.0, 1_600_000_000.0

    def pass_s(self, seconds: float, shown_s: float | None = None) -> None:
        self.now_s += seconds
        self.wall_s += seconds if shown_s is None else shown_s


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def restart(clocks: Clocks) -> Iterator[Restart]:
    with EmbeddedKafka() as kafka:
        watch = TopicWatch(KafkaSettings(kafka.bootstrap), [(EVENTS, 0)])
        yield Restart(watch, clock=lambda: clocks.now_s, wall=lambda: clocks.wall_s)


def test_a_clock_that_goes_right_or_forward_is_no_reason(restart: Restart, clocks: Clocks) -> None:
    for _ in range(1000):
        clocks.pass_s(10)
        assert not restart.due()
    clocks.pass_s(1, shown_s=7200)
    assert not restart.due()


@pytest.mark.parametrize("before_s", [0, 40])
def test_a_clock_that_is_set_back_is_a_reason_at_once(restart: Restart, clocks: Clocks, before_s: float) -> None:
    clocks.pass_s(before_s)
    assert not restart.due()
    clocks.pass_s(1, shown_s=-119)
    assert restart.due()
    assert restart.why == "the wall clock lost 120 s"


def test_a_clock_that_is_set_back_after_it_was_set_forward_is_a_reason(restart: Restart, clocks: Clocks) -> None:
    clocks.pass_s(1, shown_s=3600)
    assert not restart.due()
    clocks.pass_s(1, shown_s=-3600)
    assert restart.due()


def test_a_clock_that_stands_is_a_reason_after_seconds(restart: Restart, clocks: Clocks) -> None:
    for _ in range(10):
        clocks.pass_s(0.5, shown_s=0)
    assert restart.due()


def test_a_clock_that_is_slewed_is_none(restart: Restart, clocks: Clocks) -> None:
    for _ in range(100_000):  # half a minute per thousand, for a day
        clocks.pass_s(1, shown_s=0.9995)
        assert not restart.due()
