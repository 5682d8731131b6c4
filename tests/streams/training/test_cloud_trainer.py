from dataclasses import replace

import numpy as np
import pytest

from models.artefact import model_to_bytes
from models.cloud_model import CloudModel
from models.cloud_trainer import train_first
from models.sample import SampleBlock
from monitor.metrics import Metrics
from streams.training.cloud_trainer import CloudTrainer, Learned
from tests.models.samples import tasteful_samples
from wire.arrays import F32, I64
from wire.errors import ArtefactError

INITIAL = tasteful_samples(2000, seed=1)
REST = tasteful_samples(4000, seed=2, start=2000)
LEAST = 500  # of samples for a trial, here


@pytest.fixture(autouse=True)
def fewer_samples_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.training.cloud_trainer.LEAST_NEW", LEAST)


@pytest.fixture(scope="module")
def first() -> CloudModel:
    """As if trained on the initial part of the log, but on little of it: what comes next is better."""
    return replace(train_first([INITIAL.take(slice(0, 300))], seed=1), trained_until=2_000_000)


@pytest.fixture(scope="module")
def good() -> CloudModel:
    return train_first([INITIAL], seed=1)


def trainer_of(first: CloudModel, refresh_ms: int = 1_000_000, positions: dict[int, int] | None = None) -> CloudTrainer:
    return CloudTrainer(first, Learned(first.trained_until, positions or {}), Metrics(), refresh_ms=refresh_ms, seed=5)


def feed(trainer: CloudTrainer, block: SampleBlock, offsets: I64, partition: int = 0) -> None:
    trainer.take(block, np.full(len(block), partition), offsets)


def test_the_head_of_the_log_is_not_learned_twice(first: CloudModel) -> None:
    trainer = trainer_of(first)
    feed(trainer, INITIAL, np.arange(2000))
    assert trainer.waiting == 0 and not trainer.due(caught_up=True)


def test_a_version_is_due_when_event_time_has_moved_on(first: CloudModel) -> None:
    trainer = trainer_of(first, refresh_ms=1_000_000)
    feed(trainer, REST.take(slice(0, 999)), np.arange(999))
    assert not trainer.due(caught_up=True)
    feed(trainer, REST.take(slice(999, 1010)), np.arange(999, 1010))
    assert trainer.due(caught_up=True) and trainer.due(caught_up=False)
    trial = trainer.train()
    assert trial and trial.passed and trainer.waiting == 0 and not trainer.due(caught_up=True)
    assert trainer.model.version == 2 and trainer.model.trained_until == 3_010_000
    assert trainer.learned == Learned(2_000_000, {0: 1010})


@pytest.mark.parametrize("ahead_ms", [23 * 3_600_000, 10**12])
def test_one_clock_that_is_ahead_makes_no_version_due_holds_none_up_and_says_nothing_of_its_age(
    first: CloudModel, ahead_ms: int
) -> None:
    wrong = np.where(REST.user == REST.user[0], ahead_ms, 0)
    liar = replace(REST, timestamp=REST.timestamp + wrong)
    trainer = trainer_of(first, refresh_ms=1_000_000)
    feed(trainer, liar.take(slice(0, 900)), np.arange(900))
    assert not trainer.due(caught_up=True) and not trainer.due(caught_up=False)
    feed(trainer, liar.take(slice(900, 1010)), np.arange(900, 1010))
    assert trainer.due(caught_up=True) and trainer.due(caught_up=False)
    assert trainer.train() and trainer.model.trained_until <= 3_010_000
    feed(trainer, liar.take(slice(1010, 2100)), np.arange(1010, 2100))
    assert trainer.due(caught_up=True) and trainer.train() and trainer.model.trained_until <= 4_100_000


def test_a_row_dated_today_in_the_head_of_an_old_log_is_not_when_the_model_was_trained() -> None:
    moments = INITIAL.timestamp.copy()
    moments[77] = 1_800_000_000_000
    assert train_first([replace(INITIAL, timestamp=moments).take(slice(0, 300))], seed=1).trained_until == 300_000


def shuffled(block: SampleBlock) -> SampleBlock:
    """Samples of which the older three quarters mislead: their labels have nothing to do with them."""
    label, true = np.random.default_rng(0).permutation(block.label), len(block) // 4
    label[-true:] = block.label[-true:]
    return replace(block, label=label)


def test_a_version_of_shuffled_labels_is_held_back_and_its_samples_wait(good: CloudModel) -> None:
    trainer = trainer_of(good)
    feed(trainer, shuffled(REST.take(slice(0, 1000))), np.arange(1000))
    trial = trainer.train()
    assert trial and not trial.passed and trial.challenger > trial.in_use
    assert trainer.model is good and trainer.waiting == 1000
    assert trainer.learned == Learned(2_000_000, {}), "what no version has learned is read again after a restart"


def test_what_was_held_back_is_tried_again_an_interval_later_and_learned_whole(good: CloudModel) -> None:
    trainer = trainer_of(good)
    feed(trainer, shuffled(REST.take(slice(0, 1000))), np.arange(1000))
    trainer.train()
    feed(trainer, REST.take(slice(1000, 1999)), np.arange(1000, 1999))
    assert not trainer.due(caught_up=True) and trainer.waiting == 1999
    feed(trainer, REST.take(slice(1999, 4000)), np.arange(1999, 4000))
    assert trainer.due(caught_up=True)
    trial = trainer.train()
    assert trial and trial.passed and trainer.learned == Learned(2_000_000, {0: 4000})
    assert trainer.model.version == 2 and trainer.model.metrics["samples"] == 4000, "there is nothing to rehearse"


def test_a_version_has_learned_the_newest_too_and_says_by_how_much_it_passed(first: CloudModel) -> None:
    trainer = trainer_of(first)
    trainer.remember(INITIAL)
    feed(trainer, REST.take(slice(0, 1000)), np.arange(1000))
    challenger, in_use = trainer.train() or pytest.fail("no trial")
    metrics = trainer.model.metrics
    assert metrics["samples"] == 2000, "as many remembered ones as new ones"
    assert metrics["gate_log_loss"] == round(challenger, 6) < metrics["gate_log_loss_in_use"] == round(in_use, 6)
    assert trainer.model.trained_until == int(REST.timestamp[999])


def test_samples_of_one_moment_are_on_one_side_of_the_gate(first: CloudModel, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[SampleBlock] = []

    def predict(_model: CloudModel, block: SampleBlock) -> F32:
        held.append(block)
        return np.full(len(block), 0.5, np.float32)

    monkeypatch.setattr(CloudModel, "predict", predict)
    moment = np.append(np.zeros(700), np.ones(300)).astype(np.int64)
    for times, expected in ((moment, 300), (moment[::-1].copy(), 300), (np.zeros(1000, np.int64), 200)):
        trainer = trainer_of(first)
        feed(trainer, replace(REST.take(slice(0, 1000)), timestamp=3_000_000 + times), np.arange(1000))
        trial = trainer.train()
        assert trial and trial.challenger == trial.in_use and not trial.passed, "as good is not better"
        assert len(held[-1]) == expected and held[-1].timestamp.min() == 3_000_000 + times.max()


def test_a_gate_that_never_opens_fills_no_memory(first: CloudModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.training.cloud_trainer.MOST_NEW", 2000)
    trainer = trainer_of(first)
    for at in range(0, 4000, 500):
        feed(trainer, REST.take(slice(at, at + 500)), np.arange(at, at + 500))
        assert trainer.waiting <= 2000
    trainer.train()
    assert trainer.learned == Learned(2_000_000, {0: 4000})


def test_while_there_is_more_to_read_the_slowest_partition_decides(first: CloudModel) -> None:
    trainer = trainer_of(first)
    feed(trainer, REST.take(slice(0, 2000)), np.arange(2000), partition=0)
    feed(trainer, REST.take(slice(2000, 2010)).take(slice(0, 5)), np.arange(5), partition=1)
    assert trainer.due(caught_up=False)
    slow = trainer_of(first)
    feed(slow, REST.take(slice(0, 2000)), np.arange(2000), partition=0)
    feed(slow, REST.take(slice(0, 5)), np.arange(5), partition=1)
    assert not slow.due(caught_up=False) and slow.due(caught_up=True)


def test_a_handful_of_samples_makes_no_version(first: CloudModel) -> None:
    trainer = trainer_of(first, refresh_ms=1000)
    assert not trainer.due(caught_up=True), "nothing was read"
    feed(trainer, REST.take(slice(0, LEAST - 1)), np.arange(LEAST - 1))
    assert trainer.due(caught_up=True) and trainer.train() is None
    assert trainer.waiting == LEAST - 1 and not trainer.due(caught_up=True)
    feed(trainer, REST.take(slice(LEAST - 1, LEAST)), np.array([LEAST - 1]))
    assert trainer.due(caught_up=True) and trainer.train() is not None


def test_a_restart_learns_the_same_next_version(first: CloudModel) -> None:
    """All in one run, or stopped after version 2 and the topic read again: version 3 is the same."""
    whole = trainer_of(first)
    feed(whole, INITIAL, np.arange(2000))
    feed(whole, REST.take(slice(0, 1500)), np.arange(2000, 3500))
    whole.train()
    second = whole.model
    feed(whole, REST.take(slice(1500, 3000)), np.arange(3500, 5000))
    resumed = CloudTrainer(second, Learned.of(_learned_after(first).headers()), Metrics(), refresh_ms=1_000_000, seed=5)
    everything = SampleBlock.concat([INITIAL, REST.take(slice(0, 3000))])
    feed(resumed, everything, np.arange(5000))
    assert resumed.waiting == whole.waiting == 1500
    assert resumed.train() == whole.train()
    assert resumed.model.version == 3 and model_to_bytes(resumed.model) == model_to_bytes(whole.model)


def _learned_after(first: CloudModel) -> Learned:
    return Learned(first.trained_until, {0: 3500})


def test_samples_delivered_twice_count_once(first: CloudModel) -> None:
    once, twice = trainer_of(first), trainer_of(first)
    block = REST.take(slice(0, 1000))
    feed(once, block, np.arange(1000))
    feed(twice, block, np.arange(1000))
    feed(twice, block, np.arange(1000, 2000))
    assert once.train() == twice.train()
    assert once.model.version == 2 and model_to_bytes(once.model) == model_to_bytes(twice.model)


def test_late_samples_are_learned_with_the_next_version(first: CloudModel) -> None:
    trainer = trainer_of(first)
    feed(trainer, REST.take(slice(1000, 2000)), np.arange(1000))
    trainer.train()
    feed(trainer, REST.take(slice(0, 1000)), np.arange(1000, 2000))
    assert trainer.waiting == 1000
    trainer.train()
    assert trainer.model.version == 3 and trainer.model.trained_until == 4_000_000


def test_a_model_of_unknown_origin_is_refused() -> None:
    with pytest.raises(ArtefactError, match="does not say what it has learned from"):
        Learned.of({})
