"""When each fault begins and ends, in seconds of the live stream, and whose it is: worked out before anything runs."""

from collections.abc import Iterator
from dataclasses import dataclass

from streams.faults.people import People
from streams.faults.process_faults import Kill
from streams.faults.scenario import Fault, Placed, Planned, Scenario
from streams.faults.toxics import Toxic
from streams.faults.whose import Devices

WAVES = 10  # in which a spread fault reaches its devices: more would not be told apart in a look a second


@dataclass(frozen=True, slots=True)
class Order:
    """Inject `fault` at `at_s` and lift it at `until_s`; `devices` None are all connections."""

    fault: Fault
    at_s: float
    until_s: float
    devices: Devices | None = None
    link: str = "devices"

    @property
    def name(self) -> str:
        """What it is, in a word or two."""
        which = getattr(self.fault, "process", "") or getattr(self.fault, "like", "")
        return f"{self.fault.__struct_config__.tag} {which}".strip()


def timetable(scenario: Scenario) -> list[Order]:
    """All orders of a scenario, the earliest first."""
    orders: list[Order] = []
    begin_s: float = scenario.begins_s
    for stage in scenario.stages:
        for planned in stage.faults:
            orders += _orders(planned, scenario, begin_s + planned.placed.at)
        begin_s += stage.lasts_s
    return sorted(orders, key=lambda order: order.at_s)


def _orders(planned: Planned, scenario: Scenario, at_s: float) -> Iterator[Order]:
    fault, placed = planned.fault, planned.placed
    if isinstance(fault, Kill):
        for i in range(fault.times):
            yield Order(fault, at_s + i * fault.every, at_s + i * fault.every + placed.lasts)
    elif isinstance(fault, Toxic | People) and placed.share is None and placed.group is None:
        yield Order(fault, at_s, at_s + placed.lasts, None, placed.link)
    elif isinstance(fault, Toxic | People):
        share = scenario.groups[placed.group] if placed.group else placed.share or 0.0
        begin = _beginning(scenario, placed)
        for low, high, wait_s in waves(placed):
            devices = Devices(begin + low * share, begin + high * share, scenario.seed)
            yield Order(fault, at_s + wait_s, at_s + wait_s + placed.lasts, devices, placed.link)
    else:
        yield Order(fault, at_s, at_s + placed.lasts)


def waves(placed: Placed) -> list[tuple[float, float, float]]:
    """From which part to which of its devices, and how much later.

    >>> from streams.times import Duration
    >>> waves(Placed(spread="linear", over=Duration(10)))[1]
    (0.1, 0.2, 1.0)
    """
    if placed.spread == "burst" or not placed.over:
        return [(0.0, 1.0, 0.0)]
    edges = [i / WAVES for i in range(WAVES + 1)]
    if placed.spread == "exponential":
        edges = [0.0, *(2.0 ** (i - WAVES) for i in range(1, WAVES + 1))]
    return [(edges[i], edges[i + 1], placed.over * i / WAVES) for i in range(WAVES)]


def _beginning(scenario: Scenario, placed: Placed) -> float:
    """Where on the circle a group begins: groups lie side by side, so that nobody is in two."""
    begin = 0.0
    for name, share in scenario.groups.items():
        if name == placed.group:
            return begin
        begin += share
    return 0.0
