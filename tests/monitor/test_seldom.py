import pytest

from monitor.seldom import Seldom


def test_like_warnings_are_said_once_a_minute_with_how_often(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = iter(range(1000))
    seldom = Seldom(lambda: next(seconds))
    for _ in range(130):
        seldom.warning("too many")
    said = [line for line in capsys.readouterr().out.splitlines() if "too many" in line]
    assert len(said) == 3 and "times=1" in said[0] and "times=60" in said[2]
