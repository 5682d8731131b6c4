"""Populations and recordings as files: what they say, and the one line that a mistake gets."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.faults.whose import Devices
from streams.population.population import Population
from streams.population.table import find_table, population, presets, read_traces
from wire.errors import InputError

FLASH = {
    "7": {
        "messages": "2020-01-29 22:00:00\tbattery_charged_on\n2020-01-29 22:30:00\tscreen_lock\n"
        "2020-01-29 23:00:00\tWIFI\n2020-01-29 23:10:00\t87.0%\n2020-01-30 06:00:00\tscreen_unlock\n"
        "2020-01-30 06:05:00\t4G\n2020-01-30 06:06:00\tscreen_lock",
        "model": "CPH1801",
    }
}
FEDSCALE = {3834: {"duration": 150, "active": [10, 100], "inactive": [60, 200], "finish_time": 500, "model": "x"}}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    def write(content: Any) -> Path:
        path = tmp_path / "traces"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content, indent=1).encode())
        return path

    return write


def test_a_recording_of_transitions_begins_and_changes_as_it_says(write: Callable[[Any], Path]) -> None:
    traces = read_traces(write(b"# ours\nann, on, 10, 30.5\n\nbob,off,20\ncy,on\n"), "transitions")
    assert [traces["ann"].on(t) for t in (0, 10, 30, 31, 10**9)] == [True, False, False, True, True]
    assert [traces["bob"].on(t) for t in (0, 20, 10**9)] == [False, True, True]
    assert traces["cy"].on(10**9)


@pytest.mark.parametrize("pickled", [False, True])
def test_fedscales_clients_are_active_in_their_intervals_over_and_over(
    write: Callable[[Any], Path], pickled: bool
) -> None:
    trace = read_traces(write(pickle.dumps(FEDSCALE) if pickled else FEDSCALE), "fedscale")["3834"]
    for t in range(0, 2000, 7):
        assert trace.on(t) == (10 <= t % 500 < 60 or 100 <= t % 500 < 200)


def test_flashs_phones_are_eligible_while_locked_on_wifi_and_charging_at_these_times_of_day(
    write: Callable[[Any], Path],
) -> None:
    trace = read_traces(write(FLASH), "flash")["7"]
    hours = {hour: trace.on(hour * 3600) for hour in (22, 22.75, 23, 29.9, 30, 30.2, 22 + 48, 23 + 48, 5)}
    assert hours == {22: 0, 22.75: 0, 23: 1, 29.9: 1, 30: 0, 30.2: 0, 22 + 48: 0, 23 + 48: 1, 5: 0}


def test_what_a_phone_of_flash_wrote_down_late_is_put_in_order(write: Callable[[Any], Path]) -> None:
    lines = FLASH["7"]["messages"].splitlines()
    late = {"7": {"messages": "\n".join([lines[0], lines[2], lines[1], *lines[3:]])}}
    assert read_traces(write(late), "flash") == read_traces(write(FLASH), "flash")


def broken(changes: dict[str, Any], of: dict[Any, Any]) -> dict[str, Any]:
    (name, record), *_ = of.items()
    return {"fine": record, str(name): {k: v for k, v in {**record, **changes}.items() if v is not None}}


BAD: list[tuple[str, Any, str]] = [
    ("transitions", b"ann,on,5\nbob,perhaps,5", ":2: 'bob,perhaps,5' does not begin with a name and on or off"),
    ("transitions", b"ann,on,5,x", ":1: could not convert string to float: 'x'"),
    ("transitions", b"ann,on,5,3", ":1: 3 comes after 5"),
    ("transitions", b"ann,on,nan", ":1: nan is no time"),
    ("transitions", b"ann,on\nann,off", ":2: 'ann' is there twice"),
    ("transitions", b"ann,on\n\xff,on", ":2: 'utf-8' codec"),
    ("transitions", b"", ": there are no devices in it"),
    ("fedscale", b'{\n"a": {]', ":2: no JSON"),
    ("fedscale", b"[" * 100_000, ":1: no JSON"),
    ("fedscale", [1, 2], ":1: not an object with one entry per device, but list"),
    ("fedscale", {"a": {"active": [], "inactive": [], "finish_time": 1}, "b": 3}, ":7: b: not an object, but int"),
    ("fedscale", broken({"active": [10]}, FEDSCALE), "client 3834: it has 1 times in active and 2 in inactive"),
    ("fedscale", broken({"inactive": [60, 90]}, FEDSCALE), "client 3834: 90 comes after 100"),
    ("fedscale", broken({"finish_time": 0}, FEDSCALE), "client 3834: its finish_time is 0"),
    ("fedscale", broken({"active": None}, FEDSCALE), "client 3834: it has no 'active'"),
    ("fedscale", broken({"active": 10**400}, FEDSCALE), "client 3834: "),
    ("fedscale", broken({"active": [10**400, 1]}, FEDSCALE), "client 3834: "),
    ("fedscale", pickle.dumps({1: Path("x")}), "no pickle of plain numbers, text, lists and dicts: it holds a pathlib"),
    ("fedscale", pickle.dumps(FEDSCALE)[:-20], "no pickle of plain"),
    ("fedscale", pickle.dumps({1: 2}), "not a dict with a dict per client"),
    ("flash", broken({"messages": None}, FLASH), "device 7: it has no 'messages'"),
    ("flash", broken({"messages": 5}, FLASH), "device 7: its messages are no text"),
    ("flash", broken({"messages": "\n"}, FLASH), "device 7: it has no messages"),
    (
        "flash",
        broken({"messages": "2020-01-29 22:00:00\twifi\nx\ty"}, FLASH),
        "device 7: message 2: 'x\\ty' is no time",
    ),
    ("flash", broken({"messages": "soon\twifi"}, FLASH), "device 7: message 1: 'soon' is no time such as"),
]


@pytest.mark.parametrize(("kind", "content", "said"), BAD)
def test_a_bad_recording_gets_one_line_with_file_and_line(
    write: Callable[[Any], Path], kind: str, content: Any, said: str
) -> None:
    path = write(content)
    with pytest.raises(InputError) as error:
        read_traces(path, kind)
    assert str(error.value).startswith(str(path))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_line_of_a_client_is_where_its_entry_begins(write: Callable[[Any], Path]) -> None:
    path = write(b'{"fine": {"active": [], "inactive": [], "finish_time": 9},\n\n "b\\u00f6": {"active": [3]}}')
    with pytest.raises(InputError, match=":3: client bö: it has no 'inactive'"):
        read_traces(path, "fedscale")


def test_an_axis_may_be_a_share_a_law_or_a_recording_beside_its_file(tmp_path: Path) -> None:
    (tmp_path / "phones.csv").write_text("ann,on,43200\nbob,off\n")
    (tmp_path / "people.toml").write_text(
        'day = "24s"\nstarts = "6h"\nslowest = "10s"\ncompleteness = "0%"\nresponsiveness = 0.25\n'
        '[availability]\nkind = "trace"\nformat = "transitions"\nfile = "phones.csv"\n'
        '[connectivity]\nkind = "law"\nswing = 0\nbase = 1\n'
    )
    path = str(tmp_path / "people.toml")
    people = population(find_table(path), path, seed=1)
    assert [people.available("ann", at_s) for at_s in (0, 5.9, 6.1)] == [True, True, False]
    assert not people.connected("bob", 0.0)
    assert not people.finishes("ann", 3.0)
    assert people.delay_s("ann", 0.0) == 7.5


def test_who_is_no_member_is_always_there_and_right() -> None:
    people = population({"availability": 0, "clock": "3h", "completeness": 0, "slowest": "9s", "responsiveness": 0},
                        "here", 1, Devices(0.0, 0.5, 1))  # fmt: skip
    inside = [user for user in map(str, range(100)) if user in Devices(0.0, 0.5, 1)]
    outside = [user for user in map(str, range(100)) if user not in inside]
    assert not any(people.connected(user, 5.0) or people.finishes(user, 5.0) for user in inside)
    assert {people.clock_off_s(user) for user in inside} == {10_800.0, -10_800.0}
    assert all(people.connected(user, 5.0) and people.finishes(user, 5.0) for user in outside)
    assert {people.clock_off_s(user) + people.delay_s(user, 5.0) for user in outside} == {0.0}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"availability": "140%"}, "here: '140%' is no share"),
        ({"availability": {"kind": "moon"}}, "here: Invalid value 'moon'"),
        ({"availability": {"kind": "law", "amplitude": 3}}, "here: Object contains unknown field"),
        ({"availability": {"kind": "law", "q": "much"}}, "here: Expected"),
        ({"day": "0s"}, "here: day is nothing"),
        ({"availbility": "3%"}, "here: "),
        ({"availability": {"kind": "trace", "file": "/none", "format": "flash"}}, "/none: No such file"),
    ],
)
def test_a_mistake_in_a_population_says_where(table: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        population(table, "here", 1)
    assert said.removeprefix("here: Object contains unknown field") in str(error.value)


def test_an_unknown_population_is_met_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match="did you mean overnight"):
        find_table("overnigt")


@pytest.mark.parametrize("name", presets())
def test_every_preset_reads_and_says_whose_numbers_it_has(name: str) -> None:
    assert isinstance(population(find_table(name), name, 0), Population)
    assert len(find_table(name)["cites"]) > 40
