"""How a metric is defined: in one line of a class, which says what it is, and makes the live one for each instance."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Generic, Self, TypeVar, overload

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

M_co = TypeVar("M_co", bound=MetricWrapperBase, covariant=True)


class Definition(Generic[M_co]):
    """A metric: its `name` in Prometheus, its `kind`, what it `means`, and its `labels`."""

    def __init__(self, kind: type[M_co], name: str, means: str, labels: Sequence[str] = (), **more: Any) -> None:
        self.kind = kind.__name__.lower()
        self.name = f"{name}_total" if kind is Counter else name
        self.means, self.labels = means, tuple(labels)
        self.live = partial(kind, name, means, labels, **more)

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute

    @overload
    def __get__(self, metrics: None, owner: type) -> Self: ...
    @overload
    def __get__(self, metrics: object, owner: type) -> M_co: ...
    def __get__(self, metrics: object, owner: type) -> Self | M_co:
        """The definition, of the class: an instance has a live metric of this name, and Python finds that first."""
        return self


counter, gauge, histogram = partial(Definition, Counter), partial(Definition, Gauge), partial(Definition, Histogram)
