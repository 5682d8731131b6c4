from typing import Any

import pytest

from streams.flow.process import BeginAnew, _due
from streams.flow.restart import Restart
from streams.flow.settings import FlowSettings
from tests.clock import HandClock


class Watch:
    def added(self) -> list[Any]:
        return []


def settings(hosts: int) -> FlowSettings:
    return FlowSettings(bootstrap="", pool="", state="", processes=hosts, shards=hosts, hosts=hosts)


@pytest.mark.parametrize("hosts", [1, 3])
def test_a_clock_that_is_set_back_ends_all_hosts_and_on_one_the_input_alone(hosts: int) -> None:
    """Other hosts, whose clocks are right, would read on while this one waits for them to end."""
    clock = HandClock(wall_ms=1_000_000)
    restart = Restart(Watch(), clock)
    assert not _due(restart, settings(hosts))
    clock.passes(1000, step_ms=-60_000)
    if hosts == 1:
        assert _due(restart, settings(hosts))
    else:
        with pytest.raises(BeginAnew, match="the wall clock lost 60 s"):
            _due(restart, settings(hosts))
