"""What devices report: sums since their lives began, each report numbered."""

from device_sim.report import answer, standing
from device_sim.usage import Usage
from wire.identity import ModelId
from wire.moments import WallMs
from wire.outcome import Batches, Trainings

MODEL = ModelId("line", 3)


def test_the_newest_report_says_all_that_older_ones_did() -> None:
    usage = Usage(boot=7, sequence=40)
    usage.answered(Batches.ACCEPTED, 1)
    first = answer("ann", usage, seq=1, model=MODEL, outcome=Batches.ACCEPTED, now_ms=WallMs(5))
    usage.answered(Batches.WRONG_MODEL, 2)
    usage.trained(Trainings.ACCEPTED, 1.5)
    last = standing("ann", usage, model=MODEL, trained_seq=1, bytes_stored=9, now_ms=WallMs(6))
    assert (first.boot, first.sequence, last.sequence) == (7, 41, 42)
    assert (last.answered_seq, last.batches) == (2, {Batches.ACCEPTED: 1, Batches.WRONG_MODEL: 1})
    assert (first.batches, last.trainings) == ({Batches.ACCEPTED: 1}, {Trainings.ACCEPTED: 1})
