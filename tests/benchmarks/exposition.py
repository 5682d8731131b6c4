"""Metrics text as our processes show it, for the tests of those who read it."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BOUNDS_S = (0.1, 0.2, 0.5, 1.0)


class Process:
    """A process of ours with a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        counter = self._metrics.get(name) or Counter(name, "…", list(labels), registry=self.registry)
        assert isinstance(counter, Counter)
        self._metrics[name] = counter
        (counter.labels(**labels) if labels else counter).inc(amount)

    def show(self, name: str, value: float, **labels: str) -> None:
        gauge = self._metrics.get(name) or Gauge(name, "…", list(labels), registry=self.registry)
        assert isinstance(gauge, Gauge)
        self._metrics[name] = gauge
        (gauge.labels(**labels) if labels else gauge).set(value)

    def age(self, stage: str, *seconds: float) -> None:
        name = "coda_freshness_seconds"
        histogram = self._metrics.get(name) or Histogram(name, "…", ["stage"], buckets=BOUNDS_S, registry=self.registry)
        assert isinstance(histogram, Histogram)
        self._metrics[name] = histogram
        for value in seconds:
            histogram.labels(stage=stage).observe(value)

    def text(self) -> str:
        return generate_latest(self.registry).decode()
