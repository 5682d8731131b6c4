"""Other processes' metrics, read over HTTP into snapshots that can be added, subtracted and asked for quantiles."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from monitor.histogram import NO_HISTOGRAM, Histogram
from monitor.metrics import LARGEST_WINS

Labels = frozenset[tuple[str, str]]
Series = tuple[str, Labels]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one process, or several together, showed at one moment."""

    values: Mapping[Series, float] = field(default_factory=dict)
    histograms: Mapping[Series, Histogram] = field(default_factory=dict)

    def total(self, name: str) -> float:
        """The sum of all series of a counter or gauge; 0 when there is none."""
        return sum(value for (its_name, _), value in self.values.items() if its_name == name)

    def histogram(self, name: str, **labels: str) -> Histogram:
        """The histogram of `name` with these labels; empty when there is none."""
        return self.histograms.get((name, frozenset(labels.items())), NO_HISTOGRAM)


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
