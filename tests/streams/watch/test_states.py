"""A picture in the words of a report: every figure is where a person looks for it."""

from streams.watch.fold import Fold
from streams.watch.states import state_of
from tests.streams.watch.statuses import frontier, status
from wire.status import Role


def test_every_figure_of_a_report_is_taken_from_the_picture() -> None:
    fold = Fold()
    values = {
        "coda_samples_pooled_total": {"": 8.0},
        "coda_events_rejected_total": {"reason=late": 2.0},
        "coda_samples_waiting": {"": 3.0},
        "coda_arm_auc": {"arm=coda": 0.7},
    }
    at = (frontier("pooled", 5, 9, 4), frontier("pooled", 7, 10, 3, partition=1))
    fold.take(status(at_s=6, values=values, frontiers=at), 6000)
    fold.take(
        status(
            Role.TUNNEL,
            "t",
            at_s=6,
            values={"coda_push_outcomes_total": {"outcome=acknowledged": 4.0}},
            frontiers=(frontier("pushed", 1, 5, 2, partition=-1),),
            age_bounds_s=(0.1, 1.0),
            ages={"pushed": (0, 0, 0)},
        ),
        6000,
    )
    state = state_of(fold.picture(6000), 12.0, "live stream")
    assert (state.pooled, state.rejected, state.waiting, state.push_outcomes) == (
        8,
        {"late": 2},
        3,
        {"acknowledged": 4},
    )
    assert state.behind == {"pooled": 7}, "a push whose device is away is not work that is left"
    assert state.own_lag_s == {"pooled": 3.0, "pushed": 1.0}
    assert state.arm_auc == {"coda": 0.7}
    assert (state.elapsed_s, state.phase) == (12.0, "live stream")
