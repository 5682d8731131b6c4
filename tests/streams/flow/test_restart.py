from collections.abc import Iterator

import pytest

from streams.flow.restart import Restart
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topic_watch import TopicWatch
from streams.kafka.topics import EVENTS
from tests.clock import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock(1_600_000_000_000)


@pytest.fixture
def restart(clock: HandClock) -> Iterator[Restart]:
    with EmbeddedKafka() as kafka:
        watch = TopicWatch(KafkaSettings(kafka.bootstrap), [(EVENTS, 0)])
        yield Restart(watch, clock)


def test_a_clock_that_goes_right_or_forward_is_no_reason(restart: Restart, clock: HandClock) -> None:
    for _ in range(1000):
        clock.passes(10_000)
        assert not restart.due()
    clock.passes(1000, 7_199_000)
    assert not restart.due()


@pytest.mark.parametrize("before_ms", [0, 40_000])
def test_a_clock_that_is_set_back_is_a_reason_at_once(restart: Restart, clock: HandClock, before_ms: int) -> None:
    clock.passes(before_ms)
    assert not restart.due()
    clock.passes(1000, -120_000)
    assert restart.due()
    assert restart.why == "the wall clock lost 120 s"


def test_a_clock_that_is_set_back_after_it_was_set_forward_is_a_reason(restart: Restart, clock: HandClock) -> None:
    clock.passes(1000, 3_599_000)
    assert not restart.due()
    clock.passes(1000, -3_601_000)
    assert restart.due()


def test_a_clock_that_stands_is_a_reason_after_seconds(restart: Restart, clock: HandClock) -> None:
    for _ in range(10):
        clock.passes(500, -500)
    assert restart.due()


def test_a_clock_that_is_slewed_is_none(restart: Restart, clock: HandClock) -> None:
    for _ in range(100_000):  # half a minute per thousand, for a day
        clock.passes(2000, -1)
        assert not restart.due()
