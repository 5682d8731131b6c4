import json
from pathlib import Path

import numpy as np
import pytest

from models.artefact import MANIFEST, TENSORS, load_model, model_from_bytes, model_to_bytes, save_model
from models.cloud_model import CloudModel
from models.cloud_trainer import train_first
from tests.models.samples import tasteful_samples
from wire.errors import ArtefactError

BLOCK = tasteful_samples(400, seed=5)


@pytest.fixture(scope="module")
def model() -> CloudModel:
    return train_first([BLOCK], seed=1)


def test_a_model_predicts_the_same_after_travelling(model: CloudModel) -> None:
    arrived = model_from_bytes(model_to_bytes(model))
    np.testing.assert_array_equal(arrived.predict(BLOCK), model.predict(BLOCK))
    np.testing.assert_array_equal(arrived.weights.centre, model.weights.centre)
    assert arrived.weights.spread == model.weights.spread != 1
    assert (arrived.version, arrived.trained_until, arrived.metrics) == (1, 400_000, model.metrics)


def test_a_model_predicts_the_same_after_being_stored(model: CloudModel, tmp_path: Path) -> None:
    save_model(model, tmp_path / "v1")
    np.testing.assert_array_equal(load_model(tmp_path / "v1").predict(BLOCK), model.predict(BLOCK))


@pytest.mark.parametrize("at", [0, 3, 40, 300, 800, -1])
def test_any_flipped_byte_is_noticed(model: CloudModel, at: int) -> None:
    raw = bytearray(model_to_bytes(model))
    raw[at] ^= 1
    with pytest.raises(ArtefactError, match="model message"):
        model_from_bytes(bytes(raw))


@pytest.mark.parametrize("raw", [b"", b"\0\0\0\1", b"\0\0\0\2[]", b"\0\0\0\2{}", b"not a model at all"])
def test_what_is_no_model_is_refused(raw: bytes) -> None:
    with pytest.raises(ArtefactError, match="no readable manifest"):
        model_from_bytes(raw)


def test_a_truncated_model_is_refused(model: CloudModel) -> None:
    with pytest.raises(ArtefactError, match="sha256"):
        model_from_bytes(model_to_bytes(model)[:-10])


def test_damaged_files_and_foreign_manifests_are_refused(model: CloudModel, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(manifest | {"version": 9}))
    with pytest.raises(ArtefactError, match="sha256"):
        load_model(tmp_path)
    (tmp_path / MANIFEST).write_text(json.dumps(manifest | {"format": "coda-model-0"}))
    with pytest.raises(ArtefactError, match="format 'coda-model-0'"):
        load_model(tmp_path)
    (tmp_path / TENSORS).unlink()
    with pytest.raises(ArtefactError, match="no model in"):
        load_model(tmp_path)


def test_an_ml_100k_sized_model_is_a_few_hundred_kilobytes() -> None:
    from models.cloud_model import random_model

    keys = np.arange(1, 1683, dtype=np.uint32)
    assert len(model_to_bytes(random_model(keys, keys[:20], seed=0))) < 200_000
