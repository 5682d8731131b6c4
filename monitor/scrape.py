"""Other processes' metrics, read over HTTP into snapshots that can be added, subtracted and asked for quantiles."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from monitor import metrics

Labels = frozenset[tuple[str, str]]
Series = tuple[str, Labels]

# Gauges of one and the same thing, seen from several processes: the largest speaks for all.
LARGEST_WINS = frozenset(
    map(
        metrics.name_of,
        (
            metrics.model_version,
            metrics.devices_connected,
            metrics.lag_events,
            metrics.lag_seconds,
            metrics.frontier_s,
            metrics.event_frontier_s,
        ),
    )
)


def series(name: str, **labels: str) -> Series:
    """The name of one series."""
    return name, frozenset(labels.items())


@dataclass(frozen=True, slots=True)
class Histogram:
    """Cumulative counts at upper bounds (seconds for ours), the last bound being infinity."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]

    @property
    def count(self) -> float:
        """How many observations there are."""
        return self.counts[-1] if self.counts else 0.0

    def quantile(self, q: float) -> float:
        """The `q` quantile, linear within its bucket; nan when there is nothing, the last finite bound beyond it.

        >>> Histogram((1.0, 2.0, math.inf), (0, 10, 10)).quantile(0.5)
        1.5
        """
        if self.count == 0:
            return math.nan
        rank = q * self.count
        below, lower = 0.0, 0.0
        for bound, count in zip(self.bounds, self.counts, strict=True):
            if count >= rank and count > below:
                inside = (rank - below) / (count - below)
                return lower if math.isinf(bound) else lower + inside * (bound - lower)
            below, lower = count, bound
        return lower

    def combine(self, other: "Histogram", sign: int) -> "Histogram":
        """The sum (`sign` 1) or the growth since `other` (-1; never negative, a restarted process counts anew)."""
        if not other.counts:
            return self
        if not self.counts:
            return other if sign > 0 else self
        assert self.bounds == other.bounds, "histograms of one name share their buckets"
        steps = [a + sign * b for a, b in zip(_steps(self.counts), _steps(other.counts), strict=True)]
        total, counts = 0.0, []
        for step in steps:
            total += max(step, 0.0)
            counts.append(total)
        return Histogram(self.bounds, tuple(counts))


NO_HISTOGRAM = Histogram((), ())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one process, or several together, showed at one moment."""

    values: Mapping[Series, float] = field(default_factory=dict)
    histograms: Mapping[Series, Histogram] = field(default_factory=dict)

    def total(self, name: str) -> float:
        """The sum of all series of a counter or gauge; 0 when there is none."""
        return sum(value for (its_name, _), value in self.values.items() if its_name == name)

    def by(self, name: str, label: str) -> dict[str, float]:
        """The series of `name` summed by the value of `label`."""
        sums: dict[str, float] = {}
        for (its_name, labels), value in self.values.items():
            if its_name == name:
                key = dict(labels).get(label, "")
                sums[key] = sums.get(key, 0.0) + value
        return sums

    def counts(self) -> "Snapshot":
        """What only grows: counters and histograms, without what is so now."""
        return Snapshot({key: v for key, v in self.values.items() if key[0].endswith("_total")}, self.histograms)

    def histogram(self, name: str, **labels: str) -> Histogram:
        """The histogram of `name` with these labels; empty when there is none."""
        return self.histograms.get((name, frozenset(labels.items())), NO_HISTOGRAM)

    def label_values(self, name: str, label: str) -> list[str]:
        """The values that `label` takes among the histograms of `name`."""
        return sorted({dict(labels)[label] for its_name, labels in self.histograms if its_name == name})


def parse(text: str) -> Snapshot:
    """The snapshot in Prometheus' text format.

    >>> parse("# TYPE a counter\\na_total{x='1'} 3\\n".replace("'", '"')).total("a_total")
    3.0
    """
    values: dict[Series, float] = {}
    buckets: dict[Series, list[tuple[float, float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = frozenset(sample.labels.items())
            if family.type != "histogram":
                values[sample.name, labels] = float(sample.value)
            elif sample.name.endswith("_bucket"):
                without_bound = frozenset((k, v) for k, v in labels if k != "le")
                buckets.setdefault((family.name, without_bound), []).append((float(sample.labels["le"]), sample.value))
    return Snapshot(values, {series: _histogram(pairs) for series, pairs in buckets.items()})


def scrape(url: str, timeout_s: float = 1.0) -> Snapshot:
    """What the process at `url` shows now; raises `OSError` when it does not answer."""
    with urlopen(url, timeout=timeout_s) as response:
        return parse(response.read().decode())


def together(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Several processes as one: counters and gauges added up, except where the largest speaks for all."""
    values: dict[Series, float] = {}
    histograms: dict[Series, Histogram] = {}
    for snapshot in snapshots:
        for series, value in snapshot.values.items():
            known = values.get(series, 0.0)
            values[series] = max(known, value) if series[0] in LARGEST_WINS else known + value
        for series, histogram in snapshot.histograms.items():
            histograms[series] = histograms.get(series, NO_HISTOGRAM).combine(histogram, 1)
    return Snapshot(values, histograms)


def _histogram(pairs: list[tuple[float, float]]) -> Histogram:
    bounds, counts = zip(*sorted(pairs), strict=True)
    return Histogram(bounds, counts)


def _steps(counts: tuple[float, ...]) -> list[float]:
    return [counts[0], *(b - a for a, b in pairwise(counts))]
