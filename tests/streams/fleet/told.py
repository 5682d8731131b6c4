"""What a `coda fleet` was told, for tests."""

from pathlib import Path
from typing import Any

from streams.base.names import STALE
from streams.fleet.told import Told


def told(folder: Path, **changes: Any) -> Told:
    plain: dict[str, Any] = {
        "bootstrap": "nowhere:1",
        "kafka_config": "",
        "mqtt": "nowhere:1",
        "mqtt_credentials": "",
        "own": "events",
        "devices": None,
        "processes": 1,
        "state": str(folder / "state"),
        "out": str(folder),
        "base": STALE,
        "cloud_key": "",
        "seed": 1,
        "people": None,
        "drop": None,
        "lasts_s": 10.0,
        "orders": "",
        "metrics_port": 0,
        "boot": "boot",
        "started_ms": 1,
    }
    return Told(**{**plain, **changes})
