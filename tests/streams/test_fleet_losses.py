from models.blend import HEADS
from models.telemetry import Training
from streams.fleet_losses import FleetLosses


def report(events: int, **losses: float) -> Training:
    return Training("ann", 1, 1, 0, 0, 1.0, 0, 0, 0, {}, events, losses)


def test_the_prior_is_the_sum_over_devices_times_the_fleet_rate() -> None:
    losses = FleetLosses()
    for _ in range(10):
        losses.add(report(5, **dict.fromkeys(HEADS, 4.0) | {"coda": 3.0}))
    assert losses.events == 50
    assert losses.prior() == {head: 0.0 if head == "coda" else -0.2 for head in HEADS}


def test_a_report_without_all_heads_would_skew_the_sums() -> None:
    losses = FleetLosses()
    losses.add(report(5, cloud=4.0))
    losses.add(report(0))
    assert losses.prior() == {} and losses.events == 0
