from itertools import pairwise

import pytest

from streams.faults.people import People
from streams.faults.process_faults import Kill
from streams.faults.scenario import dropping, find_scenario, length_s, peopled, read_scenario, shipped
from streams.faults.timetable import timetable
from streams.faults.toxics import Down, Latency
from streams.faults.units import Share
from streams.population.table import find_table
from streams.times import Duration
from wire.errors import InputError

GOOD = """
name = "mine"
seconds = "40s"
begins = "2s"
[group]
few = "20%"
others = "30%"
[[stage]]
[[stage.fault]]
kind = "latency"
delay = "50ms"
share = "50%"
for = "5s"
[[stage.fault]]
kind = "down"
group = "others"
at = "1s"
for = "3s"
[[stage]]
[[stage.fault]]
kind = "kill"
process = "flow"
times = 2
every = "4s"
for = "1s"
"""


def test_stages_follow_each_other_and_groups_lie_side_by_side() -> None:
    slow, away, first, second = timetable(read_scenario(GOOD, "mine.toml"))
    assert isinstance(slow.fault, Latency) and (slow.at_s, slow.until_s) == (2, 7)
    assert isinstance(away.fault, Down) and (away.at_s, away.until_s) == (3, 6)
    assert away.devices is not None and (away.devices.low, away.devices.high) == (0.2, 0.5)
    assert isinstance(first.fault, Kill) and (first.at_s, first.until_s) == (7, 8)
    assert (second.at_s, second.until_s) == (11, 12)


@pytest.mark.parametrize("spread", ["linear", "exponential"])
def test_spread_faults_reach_all_their_devices_once(spread: str) -> None:
    text = GOOD.replace('share = "50%"', f'share = "50%"\nspread = "{spread}"\nover = "10s"')
    orders = [o for o in timetable(read_scenario(text, "x")) if isinstance(o.fault, Latency)]
    edges = [(o.devices.low, o.devices.high) for o in orders if o.devices is not None]
    assert edges[0][0] == 0 and edges[-1][1] == pytest.approx(0.5)
    assert all(a[1] == b[0] for a, b in pairwise(edges))
    assert orders[-1].at_s > orders[0].at_s


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('kind = "down"', 'kind = "dwon"', "there is no fault of kind 'dwon': write one of .*down"),
        ('delay = "50ms"', 'delay = "50"', "'50' is no duration"),
        ('delay = "50ms"', "delay = 50", "50 has no unit"),
        ('delay = "50ms"', 'delay = "50ms"\nwidth = 3', "there is no setting 'width'"),
        ('name = "mine"', 'name = "mine"\ncolour = "red"', "there is no setting 'colour'"),
        ('group = "others"', 'group = "nobody"', "there is no group 'nobody'"),
        ('others = "30%"', 'others = "90%"', "add up to 110%"),
        ('share = "50%"', 'share = "150%"', "'150%' is no share"),
        ('share = "50%"\nfor = "5s"', 'share = "50%"', "latency has no end"),
        ('process = "flow"', 'process = "flaw"', "'flaw', at 'process': write one of flow, tunnel, fleet"),
        ('seconds = "40s"', 'seconds = "5s"', 'give it more "seconds"'),
        ("times = 2", "times = 0", "times is less than 1"),
        ("times = 2", "times = 20", 'give it more "seconds"'),
        ('share = "50%"', 'link = "kafka"\nshare = "50%"', "none of them is connected to Kafka"),
        ("times = 2", 'share = "10%"', "about a process, not about devices"),
        ("[[stage]]", "[[stage", "is no TOML"),
        ('kind = "down"', 'kind = "population"\navailability = "120%"', "its population: '120%' is no share"),
        ('kind = "down"', 'kind = "population"\nlike = "overnite"', "did you mean overnight"),
        ('kind = "down"', 'kind = "population"\nmoon = "full"', "there is no setting 'moon'"),
        ('kind = "down"\ngroup = "others"\nat = "1s"\nfor = "3s"', 'kind = "population"', "population has no end"),
    ],
)
def test_a_mistake_is_one_line_that_says_where(old: str, new: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as raised:
        read_scenario(GOOD.replace(old, new), "mine.toml")
    assert str(raised.value).startswith("mine.toml")
    assert "\n" not in str(raised.value)


def test_every_shipped_scenario_is_read_and_says_what_it_teaches() -> None:
    for name in shipped():
        scenario = find_scenario(name)
        assert scenario.name == name
        assert scenario.teaches and timetable(scenario)
        assert length_s(scenario) <= scenario.seconds


def test_a_scenario_that_is_not_there_is_guessed() -> None:
    with pytest.raises(InputError, match="did you mean elevator"):
        find_scenario("elevater")


def test_dropping_is_in_the_middle() -> None:
    (order,) = timetable(dropping(Share(0.3), Duration(60), 110))
    assert isinstance(order.fault, Down)
    assert order.at_s == pytest.approx(50 / 3) and order.until_s == pytest.approx(50 / 3 + 60)
    with pytest.raises(InputError, match="give --live"):
        dropping(Share(0.3), Duration(60), 60)
    with pytest.raises(InputError, match="more than nothing"):
        dropping(Share(0), Duration(60), 110)


def test_a_population_is_of_a_group_and_keeps_what_it_does_not_say_from_the_one_it_is_like() -> None:
    text = GOOD.replace('kind = "down"', 'kind = "population"\nlike = "overnight"\nday = "9s"')
    (order,) = [o for o in timetable(read_scenario(text, "x")) if isinstance(o.fault, People)]
    assert order.name == "population overnight" and order.devices is not None
    assert (order.devices.low, order.devices.high) == (0.2, 0.5)
    assert isinstance(order.fault, People)
    assert order.fault.table["day"] == "9s"
    assert order.fault.table["availability"] == find_table("overnight")["availability"]


def test_people_of_a_population_live_two_days_in_most_of_a_demo() -> None:
    (order,) = timetable(peopled("falaki", 100))
    assert isinstance(order.fault, People) and order.devices is None
    assert order.at_s == 10 and order.until_s == 90
    assert order.fault.table["day"] == "40s"
