"""Who stands aside: by made-up gains, by what a device says and does, and by its state."""

import msgspec
import numpy as np
import pytest

from device_sim.aside import FIRST_WAIT, PROBE, SCOUTS, Aside
from device_sim.instruction import Count, Forget, Instruction, Predict, Train, WantTraining
from device_sim.outcome import Stances
from device_sim.readiness import BATCH_WAIT_MS
from device_sim.stimulus import BatchArrived, Connected, LinkLost, OwnEvent, Tick, Trained, TrainingSlot
from models.gain import FLEET_EVENTS, HOPEFUL, WORTH, fleet_gain
from tests.device_sim.phone import NO_ROWS, Phone, only, reports
from tests.device_sim.world import TASK, event, raw_batch
from wire.ids import user_key
from wire.outcome import Batches
from wire.task import HOPE
from wire.telemetry import Ack, MatchRequest, Training

POOR = msgspec.structs.replace(TASK, task_version=9, gain=WORTH / 2)  # a fleet to which heads are worth too little


def standing(mean: float, spread: float, devices: int = 200, events: int = 100, seed: int = 0) -> float:
    """The share of a fleet that stands aside after so many events each, whose gains have this mean and spread: all of
    them are heard by the fleet as they come, from who trains. Spreads are those of planted logs."""
    rng = np.random.default_rng(seed)
    fleet = [Aside(f"u{n}") for n in range(devices)]
    sums = np.zeros(3)
    for _ in range(events):
        told = fleet_gain(HOPEFUL, *sums.tolist())
        for device in fleet:
            gain = None if device.stands else float(rng.normal(mean, spread))
            device.met(gain, 0.995, told)
            if gain is not None:
                sums += 1, gain, gain**2
    return float(np.mean([device.stands or device.stance is Stances.PROBES for device in fleet]))


@pytest.mark.parametrize("seed", range(5))
def test_under_noise_most_stand_aside_and_where_there_is_taste_hardly_any(seed: int) -> None:
    assert standing(0.0, 0.025, seed=seed) > 0.6
    assert standing(6 * WORTH, 0.05, seed=seed) < 0.05


def test_before_the_fleet_knows_anything_few_bad_events_make_nobody_stand_aside() -> None:
    device = Aside("ann")
    assert {device.met(-0.05, 0.995, HOPE) for _ in range(40)} == {Stances.TRAINS}


def test_heads_are_used_once_fleet_or_device_proved_that_they_gain() -> None:
    device, lucky = Aside("ann"), Aside("bob")
    assert not device.proven(0.0) and device.proven(2 * WORTH)
    for _ in range(100):
        device.met(-0.01, 1.0, HOPE)
        lucky.met(0.01, 1.0, HOPE)
    assert lucky.proven(0.0) and not device.proven(2 * WORTH)
    device.met(-1.0, 1.0, -1.0)
    assert device.stands and not device.proven(1.0), "who trains none has none to use"


def test_it_looks_again_after_waits_that_double() -> None:
    device = Aside("ann")
    stances = [device.met(None if device.stands else 0.0, 0.995, 0.0) for _ in range(1000)]
    changes = [n for n in range(1, 1000) if stances[n] is not stances[n - 1]]
    assert np.diff([0, *changes])[:6].tolist() == [FIRST_WAIT, PROBE, 2 * FIRST_WAIT, PROBE, 4 * FIRST_WAIT, PROBE]


def test_a_probe_that_pays_brings_it_back_and_so_does_the_fleets_word() -> None:
    device = Aside("ann")
    waited = [device.met(None, 0.995, 0.0) for _ in range(FIRST_WAIT + 1)]
    assert waited == [Stances.ASIDE] * FIRST_WAIT + [Stances.PROBES]
    worth = 2 * WORTH * (FLEET_EVENTS + PROBE) / PROBE
    assert [device.met(worth, 1.0, 0.0) for _ in range(PROBE)] == [Stances.PROBES] * (PROBE - 1) + [Stances.TRAINS]
    other = Aside("ann")
    assert [other.met(None, 1.0, fleet) for fleet in (0.0, 2 * WORTH)] == [Stances.ASIDE, Stances.TRAINS]


def test_a_fleet_that_stands_aside_comes_back_once_heads_pay_though_nobody_lives_long_enough_to_look_again() -> None:
    rng = np.random.default_rng(0)
    sums = np.zeros(3)
    shares = []
    for wave in range(8):  # of other users each, with fewer events than the first wait has
        fleet = [Aside(f"u{wave}-{n}") for n in range(200)]
        for _ in range(FIRST_WAIT // 2):
            told = fleet_gain(HOPEFUL, *sums.tolist())
            for device in fleet:
                gain = None if device.stands else float(rng.normal(-3 * WORTH if wave < 2 else 10 * WORTH, 0.05))
                device.met(gain, 0.995, told)
                if gain is not None:
                    sums += 1, gain, gain**2
        shares.append(np.mean([device.stands for device in fleet]))
    assert shares[1] == pytest.approx(1 - 1 / SCOUTS, abs=0.05) and shares[-1] == 0


def test_a_scout_looks_all_the_time_and_uses_nothing_until_it_pays() -> None:
    scout = Aside(next(name for n in range(100) if user_key(name := f"u{n}") % SCOUTS == 0))
    assert {scout.met(0.0, 0.995, 0.0) for _ in range(1000)} == {Stances.PROBES}
    again = Aside.restore("ann", scout.state())
    assert again.stance is Stances.PROBES
    assert [scout.met(0.0, 0.995, HOPE) for _ in range(PROBE)][-1] is Stances.TRAINS


def standing_phone() -> Phone:
    """Connected, trained on a batch, and then it heard that its fleet gains too little."""
    phone = Phone(task=POOR)
    phone.tell(Connected())
    phone.now_ms += 10_000
    phone.live(1)
    assert phone.device.aside.stands
    return phone


def asked(out: list[Instruction]) -> list[str]:
    return [request.reason for request in reports(out) if isinstance(request, MatchRequest)]


def test_it_says_so_once_and_neither_asks_nor_trains_and_predicts_without_heads() -> None:
    phone = Phone(task=POOR)
    phone.tell(Connected())
    phone.now_ms += 10_000
    out = phone.live(30)
    phone.now_ms += 10**7
    out += phone.tell(Tick())
    assert asked(out) == ["aside"]
    assert not only(WantTraining, out) and only(Count, out)[0].outcome is Stances.ASIDE
    phone.device.task = msgspec.structs.replace(POOR, proven=1.0)
    (predict,) = only(Predict, phone.tell(OwnEvent(event("ann", 30), 0)))
    assert predict.unproven, "who trains no heads has none to use, whatever the fleet's are worth"


def test_the_fleet_learns_from_its_events_all_the_same() -> None:
    phone = standing_phone()
    every = POOR.retrain_every
    told = [report for report in reports(phone.live(3 * every)) if isinstance(report, Training)]
    assert [report.events % every for report in told] == [0] * 3


def test_a_batch_that_comes_anyway_is_answered_dropped_and_the_cloud_told_again() -> None:
    phone = standing_phone()
    phone.now_ms += 100_000
    out = phone.tell(BatchArrived(raw_batch("ann", 5)))
    (ack,) = (report for report in reports(out) if isinstance(report, Ack))
    assert ack.outcome is Batches.ASIDE and asked(out) == ["aside"]
    assert phone.device.batch is None and phone.device.newest_seq == 5 and not only(WantTraining, out)


def test_heads_of_a_training_that_still_ran_are_forgotten() -> None:
    phone = Phone()
    phone.live(10)
    (train,) = only(Train, phone.tell(TrainingSlot()))
    phone.device.task = POOR
    phone.live(1)
    assert phone.device.aside.stands
    out = phone.tell(Trained(train.model, {"local": True}, compute_ms=1.0, heads_bytes=9000, **NO_ROWS))
    assert only(Forget, out) and phone.device.heads_bytes == 0


def test_to_look_again_it_asks_and_trains_and_uses_nothing_of_it() -> None:
    phone = standing_phone()
    phone.now_ms += 100_000
    out = phone.live(FIRST_WAIT)
    assert asked(out) == ["probe"] and phone.device.aside.stance is Stances.PROBES
    assert only(WantTraining, phone.tell(BatchArrived(raw_batch("ann", 7))))
    phone.train()
    (predict,) = only(Predict, phone.tell(OwnEvent(event("ann", 999), 0)))
    assert predict.unproven


def test_heads_are_charged_alone_until_a_task_says_that_they_are_proven() -> None:
    phone = Phone()
    (before,) = only(Predict, phone.live(1))
    phone.device.task = msgspec.structs.replace(TASK, proven=2 * WORTH)
    (after,) = only(Predict, phone.live(1))
    assert before.unproven and not after.unproven


def test_back_by_the_fleets_word_it_asks_for_nothing_and_trains_when_its_next_batch_is_due() -> None:
    phone = standing_phone()
    phone.live(9)
    phone.now_ms += 100_000
    phone.device.task = TASK
    out = phone.live(1)
    assert asked(out) == ["back"] and phone.device.aside.stance is Stances.TRAINS
    phone.now_ms += BATCH_WAIT_MS
    out = phone.tell(Tick())
    assert not asked(out), "nobody answers that"
    assert not only(WantTraining, out), "all others would train just then, too"
    assert only(WantTraining, phone.tell(BatchArrived(raw_batch("ann", 7))))


def test_a_batch_that_it_took_before_it_stood_aside_is_not_taken_again_when_it_is_back() -> None:
    phone = Phone()
    phone.live(10)
    phone.tell(Connected())
    phone.tell(BatchArrived(raw_batch("ann", 7)))
    phone.train()
    for task in (POOR, TASK):
        phone.device.task = task
        phone.now_ms += 100_000
        phone.live(9)
    assert phone.device.aside.stance is Stances.TRAINS and phone.device.batch is None
    phone.tell(LinkLost())
    phone.tell(Connected())
    assert not reports(phone.tell(BatchArrived(raw_batch("ann", 7)))), "it answered for it before"
    (ack,) = (report for report in reports(phone.tell(BatchArrived(raw_batch("ann", 8)))) if isinstance(report, Ack))
    assert ack.batches == {Batches.STALE: 1, Batches.ACCEPTED: 2}


def test_back_by_the_fleets_word_that_is_lost_it_trains_without_a_batch_and_asks_for_one() -> None:
    phone = standing_phone()
    phone.live(9)
    phone.now_ms += 100_000
    phone.device.task = TASK
    assert asked(phone.live(1)) == ["back"]
    phone.live(3 * TASK.retrain_every)
    phone.train()
    phone.now_ms += 100_000
    assert asked(phone.tell(Tick())) == ["expired"]


def test_where_no_batch_comes_it_trains_without() -> None:
    phone = standing_phone()
    phone.live(FIRST_WAIT)
    phone.now_ms += BATCH_WAIT_MS
    assert only(WantTraining, phone.tell(Tick()))


def test_what_it_reports_of_gains_is_of_events_after_a_training() -> None:
    phone = Phone()
    phone.live(10, gain=0.5)
    phone.train()
    phone.live(4, gain=0.25)
    events, nats, _ = phone.device.usage.gain.tolist()
    assert events == 3, "the first has none to be compared with"
    assert nats == pytest.approx(4 * 0.25), "the mean of ± .5 and of ± .5 is 0"
