"""Other processes' metrics, read over HTTP into snapshots that can be added, subtracted and asked for quantiles."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from monitor.histogram import NO_HISTOGRAM, Histogram
from monitor.metrics import LARGEST_WINS

Labels = frozenset[tuple[str, str]]
Series = tuple[str, Labels]


def series(name: str, **labels: str) -> Series:
    """The name of one series."""
    return name, frozenset(labels.items())


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
