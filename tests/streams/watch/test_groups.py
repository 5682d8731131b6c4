"""Groups of devices: each has a word of its own, from how its trainings move, and what coda adds for it."""

from streams.watch.fold import Fold
from streams.watch.picture import Picture
from streams.watch.views import VIEWS
from tests.streams.watch.statuses import frontier, status
from wire.status import Role

GROUPS = next(view for view in VIEWS if view.name == "groups")
SECONDS = 10


def picture(now_s: float = SECONDS) -> Picture:
    """New devices train as they are due; heavy ones have waited for as long as one looks."""
    fold = Fold()
    values = {
        "coda_devices": {"devices=new": 40.0, "devices=heavy": 3.0},
        "coda_group_devices_connected": {"devices=new": 38.0, "devices=heavy": 3.0},
        "coda_lately_calibration_error": {"arm=coda,devices=new": 0.021},
    }
    for s in range(1, SECONDS + 1):
        stages = (
            frontier("trained", 5 * s, 5 * s + 7, 0.5, partition=-1),
            frontier("trained/new", 5 * s, 5 * s, s, partition=-1),
            frontier("trained/heavy", 0, 7, 0.5, partition=-1),
        )
        fold.take(status(Role.FLEET, "f", at_s=s, values=values, frontiers=stages), 1000 * s)
    return fold.picture(round(1000 * now_s))


def test_a_group_that_waits_is_told_from_one_that_trains() -> None:
    new, heavy = GROUPS.rows(picture())
    assert new.cells[:6] == ("new", "FRESH", "40", "38 (95%)", "5.0", "0") and new.cells[9] == "0.021"
    assert heavy.cells[:6] == ("heavy", "STALLED", "3", "3 (100%)", "0.0", "7")
    assert "none done over 9 s" in heavy.cells[-1]


def test_groups_are_down_with_their_fleet_and_are_no_stages_of_the_flow() -> None:
    shown = picture(now_s=SECONDS + 6)
    assert [row.cells[1] for row in GROUPS.rows(shown)] == ["DOWN", "DOWN"]
    assert [stage.stage for stage in shown.stages] == ["trained"]
