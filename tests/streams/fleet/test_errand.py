from concurrent.futures import Future

import pytest

from streams.fleet.errand import RARELY_MS, Chore, Errand, Work
from tests.clock import HandClock


def test_an_errand_waits_for_each_future_in_turn_and_for_none_that_is_done() -> None:
    first, second = Future[int](), Future[int]()
    got: list[int] = []

    def work() -> Work:
        got.append((yield first))
        got.append((yield second))

    errand = Errand(work())
    assert not errand.step()
    second.set_result(2)
    assert not errand.step() and got == []
    first.set_result(1)
    assert errand.step() and got == [1, 2]


def test_an_errand_that_pauses_goes_on_in_the_next_step() -> None:
    done = Future[int]()
    done.set_result(1)
    got: list[int] = []

    def work() -> Work:
        for n in range(2):
            got.append(n)
            yield None
        got.append((yield done))

    errand = Errand(work())
    steps = [(errand.step(), list(got)) for _ in range(3)]
    assert steps == [(False, [0]), (False, [0, 1]), (True, [0, 1, 1])]


def test_what_a_future_fails_of_can_be_caught_by_the_work_or_by_who_steps_it() -> None:
    failed = Future[int]()
    failed.set_exception(ValueError("no"))

    def work(*, catch: bool) -> Work:
        try:
            yield failed
        except ValueError:
            if not catch:
                raise

    assert Errand(work(catch=True)).step()
    with pytest.raises(ValueError, match="no"):
        Errand(work(catch=False)).step()


def begun_at(clock: HandClock, took_ms: int, *, sparing: bool, limit_ms: int = 60_000) -> list[int]:
    """When a chore of every second begins that takes so long."""
    began: list[int] = []
    running: list[Future[None]] = []

    def work() -> Work:
        began.append(clock.steady)
        running.append(Future())
        yield running[-1]

    chore = Chore(clock, 1000, work, sparing=sparing)
    while clock.steady < limit_ms:
        chore.step()
        if began and clock.steady >= began[-1] + took_ms and not running[-1].done():
            running[-1].set_result(None)
            chore.step()
        clock.passes(100)
    return began


def test_a_chore_comes_again_after_its_time() -> None:
    assert begun_at(HandClock(steady_ms=0), 0, sparing=True)[:3] == [0, 1000, 2000]


def test_a_chore_that_takes_long_comes_less_often_but_not_never() -> None:
    assert begun_at(HandClock(steady_ms=0), 100, sparing=True)[:3] == [0, 2100, 4200]
    assert begun_at(HandClock(steady_ms=0), 9000, sparing=True)[1] == 9000 + RARELY_MS
    assert begun_at(HandClock(steady_ms=0), 9000, sparing=False)[1] == 9000 + 1000


def test_a_chore_that_fails_is_raised_once_and_leaves_nothing_behind() -> None:
    def work() -> Work:
        yield from ()
        raise OSError("full")

    chore = Chore(HandClock(), 1000, work)
    with pytest.raises(OSError, match="full"):
        chore.step()
    assert chore.finish()
