import msgspec
import numpy as np
import pytest

from models.blend import FLEET_RATE, HEADS
from models.evidence import EQUATIONS, pack
from models.gain import WORTH
from models.prior_variance import KINDS
from models.prior_variance import REGRESSION as OF_VARIANCES
from models.repeats import PRECISION, REGRESSION, TRAITS
from monitor.metrics import Metrics
from streams.training.fading import AT_ONCE, HALF_LIFE_MS
from streams.training.fleet_reports import LEAST, NOTABLE, FleetReports
from tests.wire.reports import NOTHING, training
from wire.moments import WallMs
from wire.task import HOPE, Task
from wire.telemetry import Gain, Training

NOW = WallMs(10**12)
TASK = Task(task_version=1)


def report(
    events: int, losses: dict[str, float], evidence: bytes = NOTHING, device: int = 0, trained: int = 0
) -> Training:
    return training(f"u{device}", events, losses, evidence=evidence, gain=Gain(trained, 0.0, 0.0))


def even(loss: float) -> dict[str, float]:
    return dict.fromkeys(HEADS, loss)


def test_the_prior_is_the_sum_over_devices_times_the_fleet_rate() -> None:
    reports = FleetReports(Metrics())
    for device in range(10):
        reports.add(report(5, even(4.0) | {"coda": 3.0}, device=device), NOW)
    assert reports.events == 50
    assert reports.taught(TASK).head_prior == {h: 0.0 if h == "coda" else -10 * FLEET_RATE for h in HEADS}


def returned(events: int, device: int) -> bytes:
    """What `events` events say whose label was 1 wherever the item had been taken before."""
    taken = np.random.default_rng(device).choice([0, 1], events)
    trait = np.zeros((events, len(TRAITS)), np.float32)
    trait[:, TRAITS.index("taken")] = taken
    evidence = REGRESSION.evidence(trait, np.full(events, 0.5), taken.astype(np.float64))
    return pack(np.r_[REGRESSION.within(evidence.sum(axis=0)), np.zeros(OF_VARIANCES.width)])


def test_the_sum_over_devices_says_whether_people_come_back() -> None:
    alone, all_of_them = FleetReports(Metrics()), FleetReports(Metrics())
    alone.add(report(5, even(4.0), returned(5, 0)), NOW)
    for device in range(20):
        all_of_them.add(report(5, even(4.0), returned(5, device), device), NOW)
    unsure, sure = (r.taught(TASK).repeats for r in (alone, all_of_them))
    assert 0 < unsure["taken"] < sure["taken"]
    assert sure["times"] == sure["since"] == 0, "nothing was said about these"
    assert all_of_them.moved(alone.taught(TASK)) and not all_of_them.moved(all_of_them.taught(TASK))


def better(reports: FleetReports, head: str, devices: range, now_ms: WallMs = NOW) -> float:
    """What the prior says of `head` once each of `devices` told of ten events on which it was better by .05 nats."""
    for device in devices:
        reports.add(report(10, even(6.0) | {head: 5.5}, device=device, trained=10), now_ms)
    return reports.taught(TASK).head_prior[head]


def test_which_head_is_best_now_outweighs_which_one_was() -> None:
    reports = FleetReports(Metrics())
    better(reports, "cloud", range(2000))
    few_later = better(reports, "coda", range(2000, 2500))
    a_day_later = WallMs(NOW + 2 * HALF_LIFE_MS)
    as_many_in_all = FleetReports(Metrics())
    better(as_many_in_all, "cloud", range(2000))
    assert few_later < 0 and better(as_many_in_all, "coda", range(2000, 2500), a_day_later) > few_later
    assert better(reports, "coda", range(2500, 4000)) == 0, "with as many events as count at least, whenever"


def test_one_report_counts_for_so_many_events_at_most_whenever_it_says_it_is() -> None:
    reports, plain = FleetReports(Metrics()), FleetReports(Metrics())
    for each, events, now_ms in ((reports, 10**7, 0), (plain, AT_ONCE, NOW)):
        better(each, "coda", range(1000))
        assert each.add(report(events, even(events) | {"cloud": 0.95 * events}, device=7777), WallMs(now_ms))
    assert reports.taught(TASK).head_prior == plain.taught(TASK).head_prior
    assert plain.taught(TASK).head_prior["coda"] == 0


def gained(events: int, nats: float, squares: float) -> Training:
    return training("u0", events, 4.0, gain=Gain(events, nats, squares))


def test_the_sum_over_devices_says_what_heads_gain() -> None:
    reports = FleetReports(Metrics())
    for device in range(50):
        reports.add(training(f"u{device}", 200, 4.0, gain=Gain(200, -0.2, 0.1802)), NOW)
    assert reports.taught(TASK).gain == pytest.approx(-0.00093), "the mean, a hundredth towards what one hopes"
    assert reports.moved(TASK) and not reports.moved(reports.taught(TASK))


@pytest.mark.parametrize(("gain", "worth_a_task"), [(0.0003, True), (0.0006, False), (0.0025, True)])
def test_devices_hear_of_another_gain_where_that_changes_what_they_do(gain: float, worth_a_task: bool) -> None:
    reports = FleetReports(Metrics())
    for device in range(50):
        reports.add(training(f"u{device}", 200, 4.0, gain=Gain(200, gain * 200, gain**2 * 200)), NOW)
    heard = msgspec.structs.replace(reports.taught(TASK), gain=0.0007)
    assert reports.moved(heard) == worth_a_task


def test_gains_are_proven_later_than_they_are_hoped_for() -> None:
    reports = FleetReports(Metrics())
    for device in range(25):
        reports.add(training(f"u{device}", 20, 4.0, gain=Gain(20, 0.02, 20 * 0.05**2)), NOW)
    few = reports.taught(TASK)
    for device in range(25, 125):
        reports.add(training(f"u{device}", 200, 4.0, gain=Gain(200, 0.2, 200 * 0.05**2)), NOW)
    many = reports.taught(TASK)
    assert few.proven < WORTH <= few.gain and WORTH <= many.proven < many.gain
    assert reports.moved(msgspec.structs.replace(many, proven=few.proven))


def test_a_fleet_that_stands_aside_grows_unsure_of_gains_and_not_of_which_head_is_best() -> None:
    reports = FleetReports(Metrics())
    better(reports, "coda", range(500))
    before = reports.taught(TASK)
    for device in range(500, 2500):  # of which each was aside for ten events, hours later
        reports.add(report(10, even(6.0), device=device), WallMs(NOW + 10 * HALF_LIFE_MS))
    after = reports.taught(TASK)
    assert before.gain < WORTH and after.gain > 0.9 * HOPE
    assert after.head_prior == before.head_prior


@pytest.mark.parametrize("lie", [gained(10, -11.0, 1.0), gained(10, 1.0, 11.0)])
def test_no_event_gains_or_loses_more_than_it_can(lie: Training) -> None:
    assert not FleetReports(Metrics()).add(lie, NOW)


def differing(times: float, information: float = 0.03) -> bytes:
    """What a device reports where users differ by category `times` as much as the recipe believes, by nothing else."""
    of_category = np.eye(len(KINDS))[KINDS.index("category")]
    equations = OF_VARIANCES.folded(np.diag(information * of_category), times * information * of_category)
    return pack(np.r_[np.zeros(REGRESSION.width), equations])


def test_the_sum_over_devices_says_how_far_users_differ() -> None:
    reports = FleetReports(Metrics())
    for device in range(200):
        reports.add(report(5, even(4.0), differing(3.0), device), NOW)
    taught = reports.taught(TASK)
    assert taught.variances == {"taste": 1.0, "item": 1.0, "category": pytest.approx(3, rel=0.1)}
    assert taught.own(taught.habit).category == pytest.approx(3 * TASK.habit.own.category, rel=0.1)
    assert reports.moved(TASK) and not reports.moved(reports.taught(TASK))


@pytest.mark.parametrize("lie", [differing(-1e3, 1e3), differing(1e3, 1e3), differing(1e3), differing(1e9, 1e-3)])
def test_a_few_lies_about_how_far_users_differ_are_not_believed(lie: bytes) -> None:
    reports = FleetReports(Metrics())
    for device in range(200):
        reports.add(report(5, even(4.0), differing(3.0), device), NOW)
    honest = reports.taught(TASK)
    for device in range(200, 203):
        assert reports.add(report(5, even(4.0), lie, device), NOW)
    assert not reports.moved(honest)


@pytest.mark.parametrize(
    "skewed",
    [
        report(5, {"cloud": 4.0}),
        report(5, even(1.0), b""),
        report(5, even(1.0), NOTHING[:-3]),
        report(5, even(1.0), np.full(EQUATIONS, np.nan).tobytes()),
        report(5, even(float("nan"))),
        report(5, even(float("inf"))),
        report(5, even(-1.0)),
        report(5, even(1e300)),
        report(10**15, even(1.0)),
        report(5, even(1.0), np.full(EQUATIONS, 1e300).tobytes()),
    ],
)
def test_a_report_that_would_skew_the_sums_does_not_count(skewed: Training) -> None:
    reports = FleetReports(Metrics())
    assert not reports.add(skewed, NOW)
    assert reports.taught(TASK) == TASK and reports.events == 0


def test_equations_that_no_events_make_end_nothing() -> None:
    singular = np.zeros(EQUATIONS)
    singular[[0, 4, 7, 9]] = -PRECISION  # the diagonal
    reports = FleetReports(Metrics())
    assert reports.add(report(5, even(1.0), pack(singular)), NOW)
    assert set(reports.taught(TASK).repeats.values()) == {0.0}


def one_better_by(nats: float, head: str = "coda") -> FleetReports:
    reports = FleetReports(Metrics())
    reports.add(report(5, even(2 * abs(nats)) | {head: 2 * abs(nats) - nats}), NOW)
    return reports


def test_before_any_report_there_is_nothing_to_tell() -> None:
    assert not FleetReports(Metrics()).moved(TASK) and not FleetReports(Metrics()).moved(
        Task(task_version=1, head_prior={"cloud": -3.0})
    )


def test_a_prior_has_moved_once_a_head_is_notably_better_or_worse() -> None:
    little, enough = 0.9 * NOTABLE / FLEET_RATE, 1.1 * NOTABLE / FLEET_RATE
    assert not one_better_by(little).moved(TASK) and one_better_by(enough).moved(TASK)
    assert one_better_by(-enough).moved(TASK), "one is worse than all others"


def test_what_devices_have_heard_has_not_moved() -> None:
    reports = one_better_by(1.1 * NOTABLE / FLEET_RATE)
    heard = reports.taught(TASK)
    assert not reports.moved(heard)
    reports.add(report(5, even(100.0) | {"coda": 100 - 0.9 * NOTABLE / FLEET_RATE}, device=1), NOW)
    assert not reports.moved(heard)
    reports.add(report(5, even(100.0) | {"coda": 100 - 0.2 * NOTABLE / FLEET_RATE}, device=2), NOW)
    assert reports.moved(heard)


def test_once_a_head_is_hopeless_it_may_get_worse_without_a_new_task() -> None:
    hopeless = one_better_by(2 * LEAST / FLEET_RATE, "local")
    heard = hopeless.taught(TASK)
    assert heard.head_prior["local"] == LEAST
    hopeless.add(report(5, even(1.0) | {"local": 1e6}, device=1), NOW)
    assert not hopeless.moved(heard)
