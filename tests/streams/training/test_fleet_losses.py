from models.blend import FLEET_RATE, HEADS
from models.telemetry import Training
from streams.training.fleet_losses import LEAST, NOTABLE, FleetLosses


def report(events: int, **losses: float) -> Training:
    return Training("ann", 1, 1, 0, 0, 1.0, 0, 0, 0, {}, events, losses)


def test_the_prior_is_the_sum_over_devices_times_the_fleet_rate() -> None:
    losses = FleetLosses()
    for _ in range(10):
        losses.add(report(5, **dict.fromkeys(HEADS, 4.0) | {"coda": 3.0}))
    assert losses.events == 50
    assert losses.prior() == {head: 0.0 if head == "coda" else -10 * FLEET_RATE for head in HEADS}


def test_a_report_without_all_heads_would_skew_the_sums() -> None:
    losses = FleetLosses()
    losses.add(report(5, cloud=4.0))
    losses.add(report(0))
    assert losses.prior() == {} and losses.events == 0


def one_better_by(nats: float, head: str = "coda") -> FleetLosses:
    losses = FleetLosses()
    losses.add(report(5, **dict.fromkeys(HEADS, 2 * abs(nats)) | {head: 2 * abs(nats) - nats}))
    return losses


def test_before_any_report_there_is_nothing_to_tell() -> None:
    assert not FleetLosses().moved({}) and not FleetLosses().moved({"cloud": -3.0})


def test_a_prior_has_moved_once_a_head_is_notably_better_or_worse() -> None:
    little, enough = 0.9 * NOTABLE / FLEET_RATE, 1.1 * NOTABLE / FLEET_RATE
    assert not one_better_by(little).moved({}) and one_better_by(enough).moved({})
    assert one_better_by(-enough).moved({}), "one is worse than all others"


def test_what_devices_have_heard_has_not_moved() -> None:
    losses = one_better_by(1.1 * NOTABLE / FLEET_RATE)
    heard = losses.prior()
    assert not losses.moved(heard)
    losses.add(report(5, **dict.fromkeys(HEADS, 100.0) | {"coda": 100 - 0.9 * NOTABLE / FLEET_RATE}))
    assert not losses.moved(heard)
    losses.add(report(5, **dict.fromkeys(HEADS, 100.0) | {"coda": 100 - 0.2 * NOTABLE / FLEET_RATE}))
    assert losses.moved(heard)


def test_once_a_head_is_hopeless_it_may_get_worse_without_a_new_task() -> None:
    hopeless = one_better_by(2 * LEAST / FLEET_RATE, "local")
    assert hopeless.prior()["local"] == LEAST
    heard = hopeless.prior()
    hopeless.add(report(5, **dict.fromkeys(HEADS, 1.0) | {"local": 1e6}))
    assert not hopeless.moved(heard)
