from monitor.metrics import Metrics
from streams.tunnel.unanswered import Unanswered


def test_the_newest_payloads_stay_within_the_bound_and_the_others_are_counted() -> None:
    metrics = Metrics()
    unanswered: Unanswered[int] = Unanswered(metrics, most_bytes=1000)
    for push in range(30):
        unanswered.put(f"device-{push % 20}", push, 100)
        assert unanswered.nbytes <= 1000
    assert list(unanswered) == list(range(20, 30))
    assert metrics.value(Metrics.payloads_forgotten) == 20


def test_a_newer_push_takes_the_place_of_the_one_before() -> None:
    unanswered: Unanswered[str] = Unanswered(Metrics())
    unanswered.put("ann", "old", 5)
    unanswered.put("ann", "new", 7)
    assert list(unanswered) == ["new"] and unanswered.nbytes == 7
    assert unanswered.pop("ann") == "new" and unanswered.pop("ann") is None and len(unanswered) == 0
