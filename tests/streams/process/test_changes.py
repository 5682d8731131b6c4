"""One line when a stage falls ill and one when it is well again."""

from streams.process.changes import Change, Changes
from streams.watch.fold import Fold
from tests.streams.watch.statuses import frontier, status


def test_each_change_is_told_once() -> None:
    fold, changes = Fold(), Changes()
    told: list[Change] = []
    for second in range(1, 61):
        done = second if second < 20 or second > 40 else 20
        values = {"coda_model_version": {"": 1}}
        fold.take(
            status(at_s=second, values=values, frontiers=(frontier("pooled", done, second, done),)), second * 1000
        )
        told += changes.of(fold.picture(second * 1000))
    ill, well = told
    assert ill.words.startswith("pooled is STALLED; rule: ")
    assert "none done over 9 s; cause: pooled is STALLED" in ill.words and "; remedy: see what" in ill.words
    assert ill.about["word"] == "STALLED" and ill.about["remedy"] in ill.words
    assert well.words.startswith("pooled is FRESH again after ") and well.about["stage"] == "pooled"
