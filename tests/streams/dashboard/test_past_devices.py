"""What the folder of a run says of a device; and of none, why."""

import json
from pathlib import Path

import msgspec
import polars as pl
import pytest

from device_sim.taste import Taste
from streams.dashboard.past_devices import PastDevices
from wire.errors import InputError

USERS = {"ann": [1, 0], "zoë": [1, 1]}


def leave(folder: Path) -> Path:
    """As a fleet leaves it: predictions, trainings of ann, and her taste."""
    (folder / "fleet").mkdir(parents=True)
    rows = [(user, label, 0.5, 0.9 if label else 0.2) for user, labels in USERS.items() for label in labels]
    frame = pl.DataFrame(rows, schema=["user_id", "label", "cloud", "coda"], orient="row")
    frame.write_parquet(folder / "fleet" / "predictions.parquet")
    training = {"version": 3, "compute_ms": 250.0, "own_rows": 12, "bytes_stored": 178_481}
    lines = [
        {"user_id": user, "batch_seq": seq, "accepted": {"coda": True, "local": seq > 0}, **training}
        for user, seq in (("ann", -1), ("ann", 7), ("anna", 1))
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "fleet" / "trainings.jsonl").write_text(text)
    (folder / "fleet-state").mkdir()
    taste = Taste(3, 12, [], [("dairy", 0.7)], [])
    (folder / "fleet-state" / "tastes.json").write_bytes(msgspec.json.encode({"ann": taste}))
    return folder


def test_a_device_is_shown_as_the_run_left_it(tmp_path: Path) -> None:
    found = PastDevices(leave(tmp_path)).device("ann")
    assert found is not None
    rows = found["rows"]
    assert rows["events predicted"] == "2, of which 1 positive"
    assert rows["log-loss per event, best arms first"] == "coda 0.1643, cloud 0.6931"
    assert rows["AUC"] == "cloud 0.5000, coda 1.0000"
    named = PastDevices(tmp_path, "boosted").device("ann")
    assert named is not None and named["rows"]["AUC"] == "boosted 0.5000, coda 1.0000"
    assert rows["trainings"] == "2, 1 of them on a batch" and rows["computed for"] == "500 ms"
    assert rows["heads that passed their test"] == "2 coda, 1 local" and rows["stored"] == "178 kB"
    assert "12 own samples" in rows["the last one"] and "while the system runs" in rows["link, batches, bytes"]
    assert found["learned"][0] == "likes dairy (odds × 2.0) more than others"


def test_a_device_that_never_trained_has_a_page_too(tmp_path: Path) -> None:
    devices = PastDevices(leave(tmp_path))
    found = devices.device("zoë")
    assert devices.names == ["ann", "zoë"] and devices.device("nobody") is None
    assert found is not None and found["rows"]["trainings"] == "none" and "one kind only" in found["rows"]["AUC"]


def test_a_recording_alone_knows_no_devices(tmp_path: Path) -> None:
    assert PastDevices(tmp_path).names == []


@pytest.mark.parametrize("file", ["predictions.parquet", "trainings.jsonl"])
def test_records_that_are_damaged_are_one_line(tmp_path: Path, file: str) -> None:
    path = leave(tmp_path) / "fleet" / file
    path.write_bytes(b'{"user_id": "ann", nonsense\n')
    with pytest.raises(InputError, match=f"{file} cannot be read"):
        PastDevices(tmp_path).device("ann")
