from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.artefact import FILE, load_model, model_from_bytes, model_to_bytes, save_model, sealed
from models.cloud_model import CloudModel, random_model
from models.cloud_trainer import train_first, train_next
from tests.models.samples import tasteful_samples
from wire.errors import ArtefactError
from wire.malformed import Malformed

BLOCK = tasteful_samples(400, seed=5)


@pytest.fixture(scope="module")
def model() -> CloudModel:
    return train_first([BLOCK], seed=1)


def with_weights(model: CloudModel, **tensors: torch.Tensor) -> bytes:
    return model_to_bytes(replace(model, weights=replace(model.weights, **tensors)))


def test_a_model_predicts_the_same_after_travelling(model: CloudModel) -> None:
    arrived = model_from_bytes(model_to_bytes(model))
    np.testing.assert_array_equal(arrived.predict(BLOCK), model.predict(BLOCK))
    np.testing.assert_array_equal(arrived.weights.centre, model.weights.centre)
    assert arrived.weights.spread == model.weights.spread != 1
    assert (arrived.version, arrived.trained_until, arrived.metrics) == (1, 400_000, model.metrics)


def test_a_model_is_the_same_model_wherever_it_arrives(model: CloudModel, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    arrived = model_from_bytes(model_to_bytes(model))
    assert arrived.id == sealed(model).id == load_model(tmp_path).id
    assert len(arrived.id.digest) == len(arrived.id.lineage) == 16


def test_a_version_is_not_a_number(model: CloudModel) -> None:
    other = train_first([BLOCK], seed=2)
    assert other.version == model.version and other.id != model.id
    following = train_next(sealed(model), BLOCK, seed=1)
    assert following.lineage == model.lineage and following.digest == ""


def test_a_model_predicts_the_same_after_being_stored(model: CloudModel, tmp_path: Path) -> None:
    save_model(model, tmp_path / "v1")
    np.testing.assert_array_equal(load_model(tmp_path / "v1").predict(BLOCK), model.predict(BLOCK))


@pytest.mark.parametrize("at", [0, 3, 40, 300, 800, -1])
def test_any_flipped_byte_is_noticed(model: CloudModel, at: int) -> None:
    raw = bytearray(model_to_bytes(model))
    raw[at] ^= 1
    with pytest.raises(Malformed):
        model_from_bytes(bytes(raw))


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("items", torch.full((1, 32), float("nan"))),
        ("pool_query", torch.full((32,), float("inf"))),
        ("pool_query", torch.full((32,), 1e30)),
        ("pool_query", torch.zeros(31)),
        ("spread", torch.zeros(1)),
        ("taken", torch.full((1,), -20.0)),
    ],
)
def test_a_model_that_would_poison_what_it_touches_is_refused(name: str, tensor: torch.Tensor) -> None:
    empty = random_model(np.zeros(0, np.uint32), np.zeros(0, np.uint32), seed=0)
    model_from_bytes(model_to_bytes(empty))
    with pytest.raises(Malformed):
        model_from_bytes(with_weights(empty, **{name: tensor}))


def test_keys_that_are_no_sorted_distinct_keys_are_refused(model: CloudModel) -> None:
    for keys in (model.item_keys[::-1], np.zeros_like(model.item_keys), np.full_like(model.item_keys, 7)):
        with pytest.raises(Malformed, match="item_keys"):
            model_from_bytes(model_to_bytes(replace(model, item_keys=keys)))


def test_a_damaged_or_missing_file_says_which(model: CloudModel, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    (tmp_path / FILE).write_bytes(model_to_bytes(model)[:-10])
    with pytest.raises(ArtefactError, match=f"{FILE}.*sha256"):
        load_model(tmp_path)
    (tmp_path / FILE).unlink()
    with pytest.raises(ArtefactError, match="no model in"):
        load_model(tmp_path)


def test_an_ml_100k_sized_model_is_a_few_hundred_kilobytes() -> None:
    keys = np.arange(1, 1683, dtype=np.uint32)
    assert len(model_to_bytes(random_model(keys, keys[:20], seed=0))) < 200_000
