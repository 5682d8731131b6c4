"""When devices had a new cloud model, by what they said."""

from benchmarks.new_model import had


def test_a_device_that_never_had_it_counts_for_no_time() -> None:
    at_ms = {"ann": 1_000_500, "bob": 1_004_000, "idle": 1_000_100}
    assert had(at_ms, {"ann", "bob"}, 1000.0, (1, 5)) == {"1_s": 1, "5_s": 2, "last_s": 4.0}
    assert had(at_ms, {"ann", "eve"}, 1000.0, (1, 5)) == {"1_s": 1, "5_s": 1, "last_s": float("inf")}
