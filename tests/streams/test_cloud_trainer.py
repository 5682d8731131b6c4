import numpy as np
import pytest

from models.arrays import I64
from models.artefact import model_to_bytes
from models.cloud_model import CloudModel
from models.cloud_trainer import train_first
from models.errors import ArtefactError
from models.sample import SampleBlock
from streams.cloud_trainer import LEAST_NEW, CloudTrainer, Learned
from tests.models.samples import tasteful_samples

HEAD = tasteful_samples(2000, seed=1)
REST = tasteful_samples(4000, seed=2, start=2000)


@pytest.fixture(scope="module")
def first() -> CloudModel:
    return train_first([HEAD], seed=1)


def trainer_of(first: CloudModel, refresh_ms: int = 1_000_000, positions: dict[int, int] | None = None) -> CloudTrainer:
    return CloudTrainer(first, Learned(first.trained_until, positions or {}), refresh_ms=refresh_ms, seed=5)


def feed(trainer: CloudTrainer, block: SampleBlock, offsets: I64, partition: int = 0) -> None:
    trainer.take(block, np.full(len(block), partition), offsets)


def test_the_head_of_the_log_is_not_learned_twice(first: CloudModel) -> None:
    trainer = trainer_of(first)
    feed(trainer, HEAD, np.arange(2000))
    assert trainer.waiting == 0 and not trainer.due(caught_up=True)


def test_a_version_is_due_when_event_time_has_moved_on(first: CloudModel) -> None:
    trainer = trainer_of(first, refresh_ms=1_000_000)
    feed(trainer, REST.take(slice(0, 999)), np.arange(999))
    assert not trainer.due(caught_up=True)
    feed(trainer, REST.take(slice(999, 1000)), np.array([999]))
    assert trainer.due(caught_up=True) and trainer.due(caught_up=False)
    model = trainer.train()
    assert model.version == 2 and model.trained_until == 3_000_000 and not trainer.due(caught_up=True)
    assert trainer.learned == Learned(2_000_000, {0: 1000})


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
    trainer = trainer_of(first, refresh_ms=1)
    feed(trainer, REST.take(slice(0, LEAST_NEW - 1)), np.arange(LEAST_NEW - 1))
    assert not trainer.due(caught_up=True)


def test_a_restart_learns_the_same_next_version(first: CloudModel) -> None:
    """All in one run, or stopped after version 2 and the topic read again: version 3 is the same."""
    whole = trainer_of(first)
    feed(whole, HEAD, np.arange(2000))
    feed(whole, REST.take(slice(0, 1500)), np.arange(2000, 3500))
    second = whole.train()
    feed(whole, REST.take(slice(1500, 3000)), np.arange(3500, 5000))
    resumed = CloudTrainer(second, Learned.of(_learned_after(first).headers()), refresh_ms=1_000_000, seed=5)
    everything = SampleBlock.concat([HEAD, REST.take(slice(0, 3000))])
    feed(resumed, everything, np.arange(5000))
    assert resumed.waiting == whole.waiting == 1500
    assert model_to_bytes(resumed.train()) == model_to_bytes(whole.train())


def _learned_after(first: CloudModel) -> Learned:
    return Learned(first.trained_until, {0: 3500})


def test_samples_delivered_twice_count_once(first: CloudModel) -> None:
    once, twice = trainer_of(first), trainer_of(first)
    block = REST.take(slice(0, 1000))
    feed(once, block, np.arange(1000))
    feed(twice, block, np.arange(1000))
    feed(twice, block, np.arange(1000, 2000))
    assert model_to_bytes(once.train()) == model_to_bytes(twice.train())


def test_late_samples_are_learned_with_the_next_version(first: CloudModel) -> None:
    trainer = trainer_of(first)
    feed(trainer, REST.take(slice(1000, 2000)), np.arange(1000))
    trainer.train()
    feed(trainer, REST.take(slice(0, 1000)), np.arange(1000, 2000))
    assert trainer.waiting == 1000
    assert trainer.model.trained_until == trainer.train().trained_until == 4_000_000


def test_a_model_of_unknown_origin_is_refused() -> None:
    with pytest.raises(ArtefactError, match="does not say what it has learned from"):
        Learned.of({})
