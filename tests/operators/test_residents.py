from monitor.metrics import Metrics
from operators.residents import Meter, Residents, Stay
from wire.moments import NO_EVENT


def residents_of(stay: Stay, metrics: Metrics | None = None) -> Residents[str]:
    metrics = metrics or Metrics()
    return Residents(stay, Meter.of_items(metrics, metrics.items.set))


def test_the_idle_longest_leave_first_and_are_counted() -> None:
    metrics = Metrics()
    residents = residents_of(Stay(most=3, idle_ms=1000), metrics)
    for number in range(10):
        residents.active(f"user-{number}", number)
    residents.active("user-0", 10)
    assert residents.leaving(10) == [f"user-{n}" for n in range(1, 8)]
    assert len(residents) == 3 and metrics.value(Metrics.items_forgotten, reason="crowded") == 7


def test_users_leave_when_event_time_has_gone_on_without_them() -> None:
    metrics = Metrics()
    residents = residents_of(Stay(most=100, idle_ms=1000), metrics)
    residents.active("ann", 0)
    residents.active("bob", 500)
    assert residents.leaving(999) == []
    assert residents.leaving(1000) == ["ann"] and residents.leaving(1499) == []
    assert residents.leaving(1500) == ["bob"] and metrics.value(Metrics.items_forgotten, reason="idle") == 2


def test_after_a_restart_users_are_as_old_as_they_were() -> None:
    residents = residents_of(Stay(most=2, idle_ms=1000))
    for user_id, active_ms in (("eve", 30), ("ann", 10), ("bob", 20)):
        residents.restored(user_id, active_ms)
    residents.active("ann", 40)
    assert residents.leaving(40) == ["bob"] and residents.leaving(40) == []


def test_who_comes_before_anybody_has_said_what_time_it_is_does_not_leave_for_it() -> None:
    residents = residents_of(Stay(most=100, idle_ms=1000))
    residents.restored("ann", 1_700_000_000_000)
    residents.active("ann", NO_EVENT)
    residents.active("bob", NO_EVENT)
    assert residents.leaving(NO_EVENT) == []
    assert residents.leaving(1_700_000_000_000) == []
    assert residents.leaving(1_700_000_001_000) == ["ann", "bob"]
