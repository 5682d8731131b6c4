"""Canaries on their way: none is counted twice, and what is away too long is lost."""

import numpy as np
import pytest

from monitor.metrics import Metrics
from streams.canary.flights import LOST_MS, Flights
from tests.clock import HandClock
from wire.candidates import CandidateBatch, no_candidates
from wire.identity import ModelId
from wire.telemetry import decode_report, encode_report


@pytest.fixture
def clock() -> HandClock:
    return HandClock(1_000_000)


@pytest.fixture
def flights(clock: HandClock) -> Flights:
    return Flights("~canary/x", clock, Metrics())


def back(number: int, produced_ms: int = 0) -> CandidateBatch:
    none = no_candidates()
    return CandidateBatch("~canary/x", number, ModelId("", 1), 0, produced_ms, 0, none, np.zeros(0, np.float16), none)


def test_what_comes_back_counts_once(flights: Flights) -> None:
    number = flights.send().newest_seq + 1
    assert (flights.sent, flights.in_flight) == (1, 1)
    assert flights.take(back(number)) and not flights.take(back(number)) and not flights.take(back(number - 1))
    assert (flights.arrived, flights.lost, flights.in_flight) == (1, 0, 0)


def test_what_comes_back_is_answered_with_when_it_came(flights: Flights, clock: HandClock) -> None:
    number = flights.send().newest_seq + 1
    clock.passes(250)
    answer = flights.take(back(number))
    assert answer is not None and decode_report(encode_report(answer)) == answer
    assert (answer.user_id, answer.batch_seq, answer.received_ms - number) == ("~canary/x", number, 250)


def test_a_number_is_given_once_though_no_time_has_passed(flights: Flights) -> None:
    assert len({flights.send().newest_seq + 1 for _ in range(3)}) == 3


def test_numbers_go_on_where_the_clock_is_set_back_and_times_are_by_the_clock(
    flights: Flights, clock: HandClock
) -> None:
    before = flights.send().newest_seq + 1
    flights.take(back(before))
    clock.passes(1000, step_ms=-500_000)
    after = flights.send().newest_seq + 1
    assert after == before + 1, "the dataflow, the tunnel and the broker keep the highest number"
    answer = flights.take(back(after))
    assert answer is not None and answer.answered_seq == after
    assert flights.frontier.until_ms == clock.wall


def test_what_is_away_for_a_minute_is_lost_and_comes_too_late(flights: Flights, clock: HandClock) -> None:
    number = flights.send().newest_seq + 1
    clock.passes(LOST_MS - 1)
    flights.give_up()
    assert flights.lost == 0
    clock.passes(1)
    flights.give_up()
    assert (flights.lost, flights.in_flight, flights.take(back(number))) == (1, 0, None)


def test_its_frontier_stays_where_the_last_one_came_back(flights: Flights, clock: HandClock) -> None:
    first = flights.send().newest_seq + 1
    flights.take(back(first))
    for _ in range(5):
        clock.passes(1000)
        flights.send()
    assert (flights.frontier.position, flights.frontier.end, flights.frontier.until_ms) == (1, 6, first)


def test_the_age_to_page_on_grows_though_the_clock_was_set_back(clock: HandClock) -> None:
    metrics = Metrics()
    flights = Flights("~canary/x", clock, metrics)
    clock.passes(7_200_000)
    flights.take(back(flights.send().newest_seq + 1))
    clock.passes(0, step_ms=-3_600_000)
    for age_s in range(1, 30):
        clock.passes(1000)
        flights.give_up()
        flights.send()
        assert clock.wall_ms() - flights.frontier.until_ms == age_s * 1000
        assert clock.wall_ms() / 1000 - metrics.value(Metrics.canary_frontier_s) == pytest.approx(age_s)
