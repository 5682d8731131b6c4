"""Cloud models as artefacts: safetensors and a manifest, on disk as two files, on the wire as one message.

The manifest's sha256 covers the tensors *and* the rest of the manifest, so that neither a flipped bit nor a
swapped manifest goes unnoticed. Embedding tables travel as float16.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.cloud_head import HIDDEN, HeadParams
from models.cloud_model import DIM, CloudModel, Weights
from wire.durable import make_folder, settle, told
from wire.errors import ArtefactError
from wire.sample import HISTORY_LEN

FORMAT = "coda-model-3"
MANIFEST, TENSORS = "manifest.json", "model.safetensors"
_TABLES = ("items", "categories")
_HEAD = ("w1", "b1", "w2", "b2")
_LENGTH_BYTES = 4


def model_to_bytes(model: CloudModel) -> bytes:
    """The model as one message: length of the manifest (4 bytes, big-endian), manifest, safetensors."""
    manifest, tensors = _pack(model)
    return len(manifest).to_bytes(_LENGTH_BYTES, "big") + manifest + tensors


def model_from_bytes(raw: bytes) -> CloudModel:
    """The model in `raw`; raises `ArtefactError` when it is cut, altered or of another format."""
    length = int.from_bytes(raw[:_LENGTH_BYTES], "big")
    body = raw[_LENGTH_BYTES:]
    return _unpack(body[:length], body[length:], f"a model message of {len(raw)} bytes")


def save_model(model: CloudModel, folder: Path) -> None:
    """Make `folder` with `manifest.json` and `model.safetensors` in it, both or neither; raises `StorageError`."""
    manifest, tensors = _pack(model)
    fresh = folder.with_name(f".{folder.name}.new")
    with told(folder):
        rmtree(fresh, ignore_errors=True)
        make_folder(fresh)
        (fresh / TENSORS).write_bytes(tensors)
        (fresh / MANIFEST).write_bytes(manifest)
        settle(fresh, folder)


def load_model(folder: Path) -> CloudModel:
    """The model in `folder`; raises `ArtefactError` when a file is missing, altered or of another format."""
    try:
        manifest, tensors = (folder / MANIFEST).read_bytes(), (folder / TENSORS).read_bytes()
    except OSError as error:
        raise ArtefactError(f"no model in {folder}: {error.strerror} ({error.filename}); train one first") from error
    return _unpack(manifest, tensors, f"the model in {folder}")


def _pack(model: CloudModel) -> tuple[bytes, bytes]:
    arrays: dict[str, NDArray[Any]] = {f.name: getattr(model.weights, f.name).numpy() for f in fields(Weights)}
    arrays |= {f"head.{name}": getattr(model.head, name) for name in _HEAD}
    arrays |= {"item_keys": model.item_keys, "category_keys": model.category_keys}
    arrays |= {name: arrays[name].astype(np.float16) for name in _TABLES}
    tensors = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "version": model.version,
        "trained_until": model.trained_until,
        "dims": _DIMS,
        "items": len(model.item_keys),
        "categories": len(model.category_keys),
        "metrics": model.metrics,
    }
    manifest["sha256"] = _sha256(manifest, tensors)
    return json.dumps(manifest, indent=2, sort_keys=True).encode(), tensors


_DIMS = {"dim": DIM, "hidden": HIDDEN, "history": HISTORY_LEN}


def _unpack(raw_manifest: bytes, tensors: bytes, what: str) -> CloudModel:
    manifest = _checked_manifest(raw_manifest, tensors, what)
    try:
        arrays = load(tensors)
        weights = Weights(**{f.name: torch.from_numpy(arrays[f.name].astype(np.float32)) for f in fields(Weights)})
        return CloudModel(
            version=manifest["version"],
            trained_until=manifest["trained_until"],
            item_keys=arrays["item_keys"],
            category_keys=arrays["category_keys"],
            weights=weights,
            head=HeadParams(*(arrays[f"head.{name}"] for name in _HEAD)),
            metrics=manifest["metrics"],
        )
    except (SafetensorError, KeyError) as error:
        raise ArtefactError(f"{what} lacks what a {FORMAT} model has ({error}); train it again") from error


def _checked_manifest(raw: bytes, tensors: bytes, what: str) -> dict[str, Any]:
    try:
        manifest = json.loads(raw)
        claimed, found = manifest.pop("sha256"), manifest.get("format")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ArtefactError(f"{what} has no readable manifest; it was cut or is no model: publish it again") from error
    if found != FORMAT:
        raise ArtefactError(f"{what} has format {found!r}, this code reads {FORMAT!r}: train it again")
    if claimed != _sha256(manifest, tensors):
        raise ArtefactError(f"{what} does not match its sha256: it is damaged, publish or train it again")
    if manifest["dims"] != _DIMS:
        raise ArtefactError(f"{what} has dims {manifest['dims']}, this code has {_DIMS}: train it again")
    return dict(manifest)


def _sha256(manifest: Mapping[str, Any], tensors: bytes) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode() + tensors).hexdigest()
