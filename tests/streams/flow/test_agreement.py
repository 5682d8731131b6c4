import pytest

from streams.flow.agreement import _flag, common_settings, disagreement, state_trouble
from streams.flow.link import Hello
from streams.flow.settings import FlowSettings
from streams.flow.uncounted import Progress
from tests.reference import page

SETTINGS = FlowSettings(bootstrap="a:1", pool="pool", state="state")


def hello(host: int, state: str = "", *, begun: bool = False, settings: FlowSettings = SETTINGS) -> Hello:
    common = common_settings(settings)
    return Hello(hosts="a:1,b:1", host=host, settings=common, kafka="k", state=state, begun=begun, progress=Progress())


def test_what_is_of_a_hosts_own_may_differ() -> None:
    elsewhere = FlowSettings(bootstrap="b:1", pool="other", state="there", metrics_port=9000, kafka_config="x")
    assert disagreement(hello(0), hello(1, settings=elsewhere)) == ""


@pytest.mark.parametrize("name", common_settings(SETTINGS))
def test_everything_else_must_be_the_same_and_is_named_by_its_flag(name: str) -> None:
    other = hello(1)
    other.settings[name] = "something else"
    said = disagreement(hello(0), other)
    assert said.startswith(f"its {_flag(name)} is something else, that of host 0 ") and "\n" not in said
    assert f"| `{_flag(name)}` |" in page().split("## coda flow")[1].split("## ")[0]


@pytest.mark.parametrize(
    ("states", "without"),
    [
        ([("", False), ("", False)], ""),
        ([("s", True), ("s", True)], ""),
        ([("s", True), ("s", False)], ""),  # to its part nothing was written yet
        ([("s", False), ("", False)], ""),
        ([("s", True), ("", False)], "1"),
        ([("", False), ("s", True), ("s", True)], "0"),
        ([("s", True), ("t", True), ("", False)], "1, 2"),
    ],
)
def test_states_of_one_dataflow_go_together(states: list[tuple[str, bool]], without: str) -> None:
    said = state_trouble([hello(host, state, begun=begun) for host, (state, begun) in enumerate(states)])
    assert said.startswith(f"the --state of host {without} is new") if without else not said
