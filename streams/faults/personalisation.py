"""What an outage cost the models: each arm on the same events, disturbed and not, in all and while faults were on."""

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from monitor.arms import ArmResult
from streams.evaluation.arms import compare_arms
from streams.faults.history import History
from wire.ids import sample_key

Arms = Mapping[str, Mapping[str, ArmResult]]  # by whose they are, then by arm


def beside_undisturbed(
    predictions: pl.DataFrame, undisturbed: pl.DataFrame, history: History, window_ms: tuple[int, int], seed: int
) -> Arms:
    """Both runs on what both predicted, and on what users did while faults were on."""
    if not len(predictions) or not len(undisturbed):
        return {}
    both = (
        predictions.join(undisturbed, on="event_id", how="semi"),
        undisturbed.join(predictions, on="event_id", how="semi"),
    )
    during = [
        event_id
        for event_id in both[0]["event_id"]
        if window_ms[0] <= history.attempted.get(sample_key(event_id), 0) < window_ms[1]
    ]
    then = pl.col("event_id").is_in(during)
    names = ("disturbed", "undisturbed", "disturbed, during faults", "undisturbed, during faults")
    frames = (*both, *(frame.filter(then) for frame in both))
    return _compared(names, frames, seed)


def beside_the_others(predictions: pl.DataFrame, hit: Callable[[pl.Series], Sequence[str]], seed: int) -> Arms:
    """Without an undisturbed run: devices that a fault was about, and those it was not; nothing without both."""
    if not len(predictions):
        return {}
    gone = pl.col("user_id").is_in(hit(predictions["user_id"].unique()))
    arms = _compared(("devices hit", "the others"), (predictions.filter(gone), predictions.filter(~gone)), seed)
    return arms if len(arms) == 2 else {}


def _compared(names: Sequence[str], frames: Sequence[pl.DataFrame], seed: int) -> Arms:
    compared = {name: compare_arms(frame, seed) for name, frame in zip(names, frames, strict=True)}
    return {name: arms for name, arms in compared.items() if arms}
