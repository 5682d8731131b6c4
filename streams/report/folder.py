"""What a run left in its folder: of `coda demo` and `coda chaos`, or of processes that were started by hand.

A run by hand is what `coda watch --record` heard, and what the fleet predicted if its `--out` lies there too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from device_sim.record import PREDICTIONS, records_in
from monitor.accounting import Accounting, accounting
from monitor.arms import ArmResult
from monitor.state import Freshness, State, freshness_since
from streams.demo.result import DemoResult
from streams.evaluation.arms import compare_arms, read_predictions
from streams.watch.recording import FILE, Playback
from streams.watch.states import state_of
from wire.errors import InputError

CONFIG, RESULT, TIMELINE = "config.json", "result.json", "timeline.jsonl"
NOT_ENDED = "not all of this run said how it ended: figures are as of its last words"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: at least one state, and what else there is."""

    name: str
    states: Sequence[State]
    accounts: Accounting
    problems: Sequence[str]
    freshness: Mapping[str, Freshness]
    arms: Mapping[str, ArmResult]
    predictions: pl.DataFrame
    configuration: Mapping[str, Any]
    result: DemoResult | None = None
    playback: Playback | None = None


def read_run(folder: Path) -> Run:
    """The run in `folder`; raises `InputError` for one that holds none, or one of another version."""
    if (folder / CONFIG).exists():
        return _of_demo(folder)
    playback = Playback.of(folder)
    begin_ms = playback.now_ms
    states = [state_of(picture, (picture.at_ms - begin_ms) / 1000) for picture in playback.pictures()]
    predictions = read_predictions(records_in(folder) / PREDICTIONS)
    return Run(
        name=folder.resolve().name,
        states=states,
        accounts=accounting(states[-1]),
        problems=() if playback.ended else (NOT_ENDED,),
        freshness=freshness_since(playback.passed_before, playback.passed),
        arms={states[-1].cloud if arm == "cloud" else arm: came for arm, came in compare_arms(predictions, 0).items()},
        predictions=predictions,
        configuration={"recorded by": "coda watch --record", "folder": str(folder)},
        playback=playback,
    )


def _of_demo(folder: Path) -> Run:
    """That of `coda demo` or `coda chaos`."""
    try:
        configuration = msgspec.json.decode((folder / CONFIG).read_bytes(), type=dict[str, Any])
        settings = msgspec.convert(configuration["settings"], dict[str, Any])
        lines = (folder / TIMELINE).read_bytes().splitlines()
        states = [msgspec.json.decode(line, type=State) for line in lines]
        path = folder / RESULT
        result = msgspec.json.decode(path.read_bytes(), type=DemoResult) if path.exists() else None
    except (OSError, KeyError, msgspec.DecodeError) as error:
        raise InputError(f"{folder} is damaged, or a run of another version ({error}): run it again") from error
    heard = folder / FILE  # empty where Ctrl-C came before any process said something
    if not states:
        raise InputError(f"{folder / TIMELINE} is empty: that run ended before a process said anything")
    return Run(
        name=f"{settings.get('scenario') or 'demo'} on {settings.get('log')}",
        states=states,
        accounts=result.accounting if result else accounting(states[-1]),
        problems=result.problems if result else [NOT_ENDED],
        freshness=result.freshness if result else states[-1].freshness,
        arms=result.arms if result else {},
        predictions=read_predictions(records_in(folder) / PREDICTIONS),
        configuration=configuration,
        result=result,
        playback=Playback.of(folder) if heard.exists() and heard.stat().st_size else None,
    )
