"""Which base there can be on a log, and which is taken where nothing is said: what a service would rather take."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from models.scores import auc
from models.streamed.boosted import LEAST, trainable
from streams.base.names import BOOSTED, LOGGED, ONLINE, STALE
from streams.base.newest import MOST
from streams.logs.slices import first_of_tail
from wire.errors import InputError

MEANING = {
    LOGGED: "the log's own base, what the service's own model expected of each event",
    BOOSTED: "boosted trees on streamed features, trained on the initial part and again as the stream goes",
    ONLINE: "a regression on streamed features, which learns as the stream goes",
    STALE: "the first cloud model",
}
_TELLS = 0.99  # AUC that no model of what comes has
_MISSING = {
    LOGGED: "the log has no bases: say in which column your own model's are, --column base=NAME",
    "refreshed": "--refresh is 0s, so there is no refreshed cloud model: give an interval, or --base stale",
    BOOSTED: f"boosted trees take an initial part of {LEAST:,} events, with both labels early and late in it: give a "
    "longer log, or --base online",
}


def possible(log: pl.DataFrame, initial_share: float) -> dict[str, bool]:
    """Whether there are those bases on a sorted log that there may not be; raises `InputError` as `first_of_tail`."""
    label = log["label"][: first_of_tail(log, initial_share)].tail(MOST).to_numpy().astype(np.uint8)
    return {LOGGED: log["base"].null_count() < len(log), BOOSTED: trainable(label)}


def ready(bases: Sequence[str], there: Mapping[str, bool]) -> list[str]:
    """Those of `bases` that there are; those that need something are `there` or not."""
    return [name for name in bases if there.get(name, True)]


def choose(asked: str | None, bases: Sequence[str], there: Mapping[str, bool]) -> str:
    """The base that was asked for, or the first one that is ready; raises `InputError`."""
    if asked and not there.get(asked, True):
        raise InputError(_MISSING[asked])
    return asked or ready(bases, there)[0]


def meaning(base: str, asked: str | None) -> str:
    """What personal models add to, and why not to trees, if nobody asked for another base."""
    short = f" (for trees the initial part is too short: {LEAST:,} events, both labels early and late)"
    return MEANING[base] + short * (base == ONLINE and asked is None)


def odd_base(log: pl.DataFrame) -> list[str]:
    """A warning where a log has bases of some events and not of others, and where they know what was taken."""
    said = log.drop_nulls("base")
    if not len(said):
        return []
    lines = []
    if share := 1 - len(said) / len(log):
        lines.append(
            f"{share:.1%} of events have no base: there personal models add to the cloud model, and which events those "
            "are may tell positives from negatives"
        )
    of = auc(said["label"].to_numpy().astype(np.uint8), said["base"].to_numpy())
    if of >= _TELLS:  # NaN, where all was taken or nothing, is not
        lines.append(
            f"the base alone has AUC {of:.3f}: is it what a model expected before each event, or does it follow from "
            "what was taken? Then leave it out, for no figure means anything with it"
        )
    return lines
