"""A small log, a scorer that has begun with its first part, and the rest as messages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import cast

import polars as pl

from operators.decode import Raw, arrival
from streams.bus import Message, Partition
from streams.kafka.topics import UNSCORED
from streams.logs.event_log import load_log
from streams.logs.options import AS_FOUND
from streams.scoring.beginning import begin
from streams.scoring.scorer import Scored, Scorer
from streams.scoring.state import ScoringState
from tests.integration.log import write_log
from wire.event import Event, decode_event, encode_event
from wire.moments import SteadyMs, WallMs

ROWS, SHARE, DELAY_MS = 2_400, 0.8, 5_000  # 1,920 events are enough for trees
NOW_MS = WallMs(4_000_000_000_000)  # after all of the log
START = SteadyMs(0)


def quiet(*_: object) -> None:
    """Nobody to tell."""


def log_in(folder: Path) -> Path:
    path = folder / "log.csv"
    return path if path.exists() else write_log(path, users=40, events=ROWS)


def scorer_of(path: Path, base: str) -> Scorer:
    return begin(path, SHARE, AS_FOUND, base=base, delay_ms=DELAY_MS, seed=0, show=quiet)


def keep(state: ScoringState, scorer: Scorer, positions: Mapping[Partition, int] = MappingProxyType({})) -> None:
    """Put it on disk as it is."""
    state.put(state.snapshot(scorer, positions, START))


def tail_of(path: Path) -> list[Event]:
    """What comes after the initial part."""
    rows = load_log(path)[int(ROWS * SHARE) :]
    return [Event(**row) for row in rows.select(*Event.__struct_fields__[:7]).iter_rows(named=True)]


def message(value: bytes, offset: int, partition: int = 0) -> Message:
    return Message(UNSCORED, partition, offset, b"", value, 1000 + offset, {})


def messages(events: Sequence[Event], first: int = 0) -> list[Message]:
    return [message(encode_event(event), offset) for offset, event in enumerate(events, first)]


def said(scorer: Scorer, came: Sequence[Message], batch: int = 100) -> dict[str, float | None]:
    """What is said of each event when they come in batches."""
    found = {}
    for at in range(0, len(came), batch):
        for event in map(decode_event, (out.value for out in taken(scorer, came[at : at + batch]).events)):
            found[event.event_id] = event.base
    return found


def taken(scorer: Scorer, came: Sequence[Message]) -> Scored:
    """What becomes of them when they come at once."""
    return scorer.take([arrival(cast(Raw, message), NOW_MS) for message in came], START)


def by_event(log: pl.DataFrame) -> dict[str, float | None]:
    return dict(zip(log["event_id"], log["base"], strict=True))
