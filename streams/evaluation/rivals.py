"""Rivals: what a service would take instead of personal models, as arms of the evaluation: the models of `Service`."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from models.scores import logit
from streams.base.names import ON_CLOUD, REPEATS
from streams.base.service import Service
from streams.evaluation.lineup import SCORE
from wire.arrays import F64
from wire.event import Event


class Rivals:
    """The models of `service` as arms: `meet` each slice that it has seen."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tables: list[pl.DataFrame] = []

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
                opinion = rival.opinion(met.take(asked))
                columns |= {name: opinion.probability, name + SCORE: opinion.score}
        event_id = pl.Series([ids[n] for n in asked], dtype=pl.String)  # of no event, too
        self._tables.append(pl.DataFrame({"event_id": event_id, **columns}))

    def table(self) -> pl.DataFrame:
        """All that was predicted: `event_id`, and for each rival its probability and its score."""
        return pl.concat(self._tables)
