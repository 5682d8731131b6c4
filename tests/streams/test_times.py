import pytest

from streams.times import Duration, parse_moment_ms
from wire.errors import InputError


@pytest.mark.parametrize(
    ("text", "moment_ms"),
    [
        ("0", 0),
        ("893286638000", 893286638000),
        ("1998-01-01", 883612800000),
        ("1998-01-01T00:00:00.5", 883612800500),
        ("1998-01-01T02:00+02:00", 883612800000),
    ],
)
def test_moments(text: str, moment_ms: int) -> None:
    assert parse_moment_ms(text) == moment_ms


@pytest.mark.parametrize("text", ["", "soon", "1998-13-01", "1e12"])
def test_no_moments(text: str) -> None:
    with pytest.raises(InputError, match="no moment"):
        parse_moment_ms(text)


@pytest.mark.parametrize(
    ("text", "ms", "shown"),
    [
        ("90m", 5_400_000, "90m"),
        ("1.5h", 5_400_000, "90m"),
        ("7d", 604_800_000, "7d"),
        ("250ms", 250, "250ms"),
        ("24h", 86_400_000, "24h"),
        ("0d", 0, "0s"),
    ],
)
def test_durations(text: str, ms: int, shown: str) -> None:
    assert (Duration.parse(text).ms, str(Duration.parse(text))) == (ms, shown)
    assert Duration.parse(shown) == Duration.parse(text)


@pytest.mark.parametrize("text", ["", "12", "h", "-1h", "1w"])
def test_no_durations(text: str) -> None:
    with pytest.raises(InputError, match="no duration"):
        Duration.parse(text)
