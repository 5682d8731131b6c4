"""What a browser is told: the figures of the picture, and after a gap all that it missed."""

from streams.dashboard.frames import Frames
from streams.watch.fold import Fold
from tests.streams.watch.statuses import frontier, pooled, status
from wire.status import Role


def flowing(seconds: int, *, kept: int = 900, boot: int = 0) -> Frames:
    """A flow that pools ten samples a second, of which a browser is told each second."""
    fold, frames = Fold(), Frames(kept)
    for second in range(1, seconds + 1):
        values = pooled(10 * second) | {"coda_model_version": {"": 1.0 if second < 5 else 2.0}}
        at = (frontier("pooled", 10 * second, 10 * second + 3, second - 1, partition=0),)
        born = boot * 1000 if boot and second >= boot else 0
        fold.take(status(at_s=second, boot=born, values=values, frontiers=at), second * 1000)
        frames.take(fold.picture(second * 1000))
    return frames


def test_the_figures_are_those_of_the_picture() -> None:
    frame = flowing(12).newest
    assert frame is not None
    (stage,) = frame.stages
    assert (stage.name, stage.word, stage.per_s, stage.behind, stage.until_ms) == ("pooled", "FRESH", 10.0, 3, 11_000)
    assert frame.series["rate/pooled"] == 10.0 and frame.tables["overview"].words == ["FRESH"]
    assert (frame.up, frame.processes) == (1, 1)


def test_the_arm_that_devices_add_to_is_called_what_it_is() -> None:
    fold, frames = Fold(), Frames()
    values = {"coda_base": {"base=boosted": 1.0}, "coda_arm_gauc": {"arm=cloud": 0.64, "arm=coda": 0.65}}
    fold.take(status(Role.FLEET, "f", at_s=1, values=values), 1000)
    frames.take(fold.picture(1000))
    assert frames.newest is not None
    assert {line for line in frames.newest.series if line.startswith("arms/")} == {"arms/boosted", "arms/coda"}
    assert [row[0] for row in frames.newest.tables["arms"].rows] == ["coda", "boosted"]


def test_whoever_was_away_gets_what_it_missed() -> None:
    frames = flowing(12)
    missed = frames.since(9)
    assert missed is not None and [frame.number for frame in missed] == [10, 11, 12]
    assert frames.since(12) == []


def test_a_gap_that_is_too_long_or_of_another_run_is_told() -> None:
    frames = flowing(12, kept=5)
    assert frames.since(3) is None and frames.since(99) is None
    kept = frames.since(7)
    assert kept is not None and len(kept) == 5


def test_the_history_has_a_figure_for_each_moment() -> None:
    history = flowing(12).history()
    assert history.at_ms == [1000 * second for second in range(1, 13)]
    assert all(len(values) == 12 for values in history.series.values())
    assert history.newest is not None and history.newest.number == 12


def test_a_restart_and_a_new_model_are_marked_once() -> None:
    marks = flowing(12, boot=8).history().marks
    assert [(mark.at_ms, mark.kind, mark.what) for mark in marks] == [
        (5000, "model", "cloud model v2"),
        (8000, "restart", "flow/0 starts again"),
    ]
