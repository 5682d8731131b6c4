"""A group is as its trainings are while most of its devices are there, and away where most of them are."""

import pytest

from monitor.words import Word
from streams.watch.fold import Fold
from streams.watch.picture import StageView
from tests.streams.watch.statuses import frontier, status
from wire.status import Role

DEVICES = 40


def group_after(*connected: int, trained_per_s: int = 5, waiting: int = 0, fleets: int = 1) -> StageView:
    """How the regular devices are when in each second so many of 40 were connected."""
    fold = Fold()
    for s, each in enumerate(connected, start=1):
        done = trained_per_s * s
        trained = frontier("trained/regular", done, done + waiting, s if not waiting else 0.5, partition=-1)
        for number in range(fleets):
            here = each // fleets + (each % fleets if not number else 0)
            values = {
                "coda_devices": {"devices=regular": DEVICES / fleets},
                "coda_group_devices_connected": {"devices=regular": float(here)} if here else {},
            }
            said = status(Role.FLEET, f"f{number}", at_s=s, values=values, frontiers=(trained,))
            fold.take(said, 1000 * s)
    (group,) = fold.picture(1000 * len(connected)).groups
    return group


CALM = [DEVICES] * 10


@pytest.mark.parametrize(
    ("connected", "word", "rule"),
    [
        (CALM, Word.FRESH, "done and"),
        ([*CALM, 20, 20, 20, 20], Word.FRESH, "done and"),  # half of them are there
        ([*CALM, 0, 0], Word.FRESH, "done and"),  # for a moment only
        ([*CALM, 12, 12, 12], Word.BEHIND, "12 of its 40 devices are connected, 28 went away over 9 s"),
        ([*CALM, *[12] * 10], Word.STALLED, "12 of its 40 devices are connected, and none came back over 9 s"),
        ([*CALM, *[0] * 3], Word.DOWN, "none of its 40 devices is connected"),
        ([*CALM, *[0] * 10, 5, 7, 9], Word.BEHIND, "9 of its 40 devices are connected, 9 came back over 9 s"),
        ([*CALM, *[0] * 10, 9, 15, 20], Word.FRESH, "done and"),
        ([0, 0, 0], Word.DOWN, "none of its 40 devices is connected"),
    ],
)
def test_each_change(connected: list[int], word: Word, rule: str) -> None:
    group = group_after(*connected)
    assert group.word is word and rule in group.rule


def test_devices_of_several_fleets_are_one_group() -> None:
    away = group_after(*CALM, *[0] * 10, 9, fleets=2)
    assert away.rule == "9 of its 40 devices are connected, 9 came back over 9 s"


def test_trainings_that_stand_still_are_worse_than_devices_that_come_back() -> None:
    group = group_after(*[0] * 10, 5, 7, 9, trained_per_s=0, waiting=7)
    assert group.word is Word.STALLED and "7 to do, and none done" in group.rule
