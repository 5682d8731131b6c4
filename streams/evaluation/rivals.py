"""Rivals: what a service would take instead of personal models, as arms of the evaluation: the models of `Service`."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from models.scores import logit
from streams.base.names import ON_CLOUD, REPEATS
from streams.base.service import Service
from streams.evaluation.lineup import RIVALS, SCORE
from wire.arrays import F64
from wire.event import Event


class Rivals:
    """All rivals on one log: first `rehearse` its initial part, then `begin`, then `see` and `meet` each slice.

    What `base`, one of them, expects of an event is there before devices predict it, for them to add to.
    """

    def __init__(self, *, delay_ms: int, impressions: bool, seed: int, base: str = "") -> None:
        self._base = base
        self._service = Service(RIVALS, base=base, delay_ms=delay_ms, impressions=impressions, seed=seed)
        self._tables: list[pl.DataFrame] = []

    def rehearse(self, events: Sequence[Event]) -> None:
        """Take a part of the initial part of the log."""
        self._service.rehearse(events)

    def begin(self) -> F64:
        """The initial part is over: what the base expected of it, as `Service.begin` says."""
        return self._service.begin()

    @property
    def untrained(self) -> list[str]:
        """Those that predict nothing, as the initial part is too short to train them."""
        return self._service.untrained

    def see(self, events: Sequence[Event]) -> F64:
        """A slice comes: what the base expects of its events, as log-odds (n,); nan without one."""
        return self._service.see(events)

    def meet(self, events: Sequence[Event], cloud: Mapping[str, Mapping[str, float]]) -> None:
        """Predict those of the slice's events that devices predicted; `cloud` has what the cloud model that a rival
        builds on made of them, by rival and event id."""
        ids = [event.event_id for event in events]
        logits = {name: logit(np.array([of.get(each, np.nan) for each in ids])) for name, of in cloud.items()}
        met = self._service.hear(logits)
        asked = np.flatnonzero(~np.isnan(logits[REPEATS]))
        columns: dict[str, F64] = {}
        for name, rival in self._service.models.items():
            if name in cloud or name not in ON_CLOUD:
                of_base = name == self._base
                opinion = self._service.expected.take(asked) if of_base else rival.opinion(met.take(asked))
                columns |= {name: opinion.probability, name + SCORE: opinion.score}
        self._tables.append(pl.DataFrame({"event_id": [ids[n] for n in asked], **columns}))

    def table(self) -> pl.DataFrame:
        """All that was predicted: `event_id`, and for each rival its probability and its score."""
        return pl.concat(self._tables)
