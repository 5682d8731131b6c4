"""Cloud models as artefacts: what travels (`wire.model`) and what computes (`CloudModel`), made of each other.

On disk a model is the same bytes as on the wire, in one file. Embedding tables travel as float16.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.cloud_head import HIDDEN, HeadParams
from models.cloud_model import DIM, CloudModel, Weights
from wire.arrays import F32, U32
from wire.durable import make_folder, write_durably
from wire.errors import ArtefactError
from wire.malformed import Malformed
from wire.model import Manifest, decode_model, digest_of, encode_model
from wire.reason import Reason
from wire.sample import HISTORY_LEN

FILE = "model.coda"
_TABLES = ("items", "categories")
_HEAD = ("w1", "b1", "w2", "b2")
_DIMS = {"dim": DIM, "hidden": HIDDEN, "history": HISTORY_LEN}


def model_to_bytes(model: CloudModel) -> bytes:
    """The model as one message (`wire.model`)."""
    arrays: dict[str, NDArray[Any]] = {f.name: getattr(model.weights, f.name).numpy() for f in fields(Weights)}
    arrays |= {f"head.{name}": getattr(model.head, name) for name in _HEAD}
    arrays |= {"item_keys": model.item_keys, "category_keys": model.category_keys}
    arrays |= {name: arrays[name].astype(np.float16) for name in _TABLES}
    manifest = Manifest(
        lineage=model.lineage,
        version=model.version,
        trained_until=model.trained_until,
        dims=_DIMS,
        metrics=model.metrics,
        replaces=model.replaces,
    )
    return encode_model(manifest, {name: np.ascontiguousarray(array) for name, array in arrays.items()})


def model_from_bytes(raw: bytes) -> CloudModel:
    """The model in `raw`; raises `Malformed` when it is cut, altered, not finite or of another format."""
    message = decode_model(raw)
    manifest, tensors = message.manifest, message.tensors
    if manifest.dims != _DIMS:
        raise Malformed(
            "model", Reason.UNKNOWN_FORMAT, f"it has dims {manifest.dims}, this code {_DIMS}: train it again"
        )
    items, categories = _keys(tensors, "item_keys"), _keys(tensors, "category_keys")
    shapes = _shapes(len(items) + 1, len(categories) + 1)
    arrays = {name: _array(tensors, name, shape) for name, shape in shapes.items()}
    if arrays["spread"][0] <= 0 or (arrays["taken"] < 0).any():
        raise Malformed("model", Reason.MALFORMED, "its spread or what was taken of its items is negative")
    return CloudModel(
        version=manifest.version,
        trained_until=manifest.trained_until,
        item_keys=items,
        category_keys=categories,
        weights=Weights(**{f.name: torch.from_numpy(arrays[f.name]) for f in fields(Weights)}),
        head=HeadParams(*(arrays[f"head.{name}"] for name in _HEAD)),
        metrics=manifest.metrics,
        lineage=manifest.lineage,
        replaces=manifest.replaces,
        digest=message.digest,
    )


def sealed(model: CloudModel) -> CloudModel:
    """The model with the digest that its message has."""
    return replace(model, digest=digest_of(model_to_bytes(model)))


def save_model(model: CloudModel, folder: Path) -> None:
    """Write the model into `folder`, made if need be, whole or not at all; raises `StorageError`."""
    make_folder(folder)
    write_durably(folder / FILE, model_to_bytes(model))


def load_model(folder: Path) -> CloudModel:
    """The model in `folder`; raises `ArtefactError` when the file is missing, altered or of another format."""
    path = folder / FILE
    try:
        return model_from_bytes(path.read_bytes())
    except OSError as error:
        raise ArtefactError(f"no model in {folder}: {error.strerror} ({error.filename}); train one first") from error
    except Malformed as error:
        raise ArtefactError(f"{path}: {error}; train it again") from error


def _shapes(items: int, categories: int) -> dict[str, tuple[int, ...]]:
    slots = HISTORY_LEN + 1
    weights = {
        "items": (items, DIM),
        "categories": (categories, DIM),
        "attention": (DIM, DIM),
        "attention_recency": (slots,),
        "pool_query": (DIM,),
        "pool_recency": (slots,),
        "null": (DIM,),
        "centre": (DIM,),
        "spread": (1,),
        "taken": (items,),
    }
    head = {"head.w1": (3 * DIM, HIDDEN), "head.b1": (HIDDEN,), "head.w2": (HIDDEN,), "head.b2": (1,)}
    return weights | head


def _array(tensors: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...]) -> F32:
    array = tensors.get(name)
    if array is None or array.shape != shape or array.dtype.kind != "f":
        found = "missing" if array is None else f"{array.dtype} {array.shape}"
        raise Malformed("model", Reason.MALFORMED, f"{name} is {found}, not floats of shape {shape}")
    return array.astype(np.float32)


def _keys(tensors: Mapping[str, NDArray[Any]], name: str) -> U32:
    keys = tensors.get(name)
    if keys is None or keys.ndim != 1 or keys.dtype != np.uint32 or (np.diff(keys, prepend=np.uint32(0)) == 0).any():
        raise Malformed("model", Reason.MALFORMED, f"{name} is no column of distinct keys")
    if (keys[1:] < keys[:-1]).any():
        raise Malformed("model", Reason.MALFORMED, f"{name} is not sorted")
    return np.asarray(keys)
