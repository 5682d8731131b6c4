import pytest

from streams.faults.units import Share, Size, read_unit
from streams.times import Duration
from wire.errors import InputError


def test_units_are_read() -> None:
    assert [Duration.parse(t) for t in ("250ms", "60s", "1.5m", "2h", "1d")] == [0.25, 60, 90, 7200, 86400]
    assert [Share.parse(t) for t in ("0%", "30%", "0.3", "100%")] == [0, 0.3, 0.3, 1]
    assert [Size.parse(t) for t in ("500B", "20kB", "1MB")] == [500, 20_000, 1_000_000]
    assert read_unit(Share, 0.25) == 0.25


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        (Duration, "60", "no duration"),
        (Duration, "-1s", "no duration"),
        (Duration, 60, "has no unit"),
        (Duration, "1 week", "no duration"),
        (Share, "130%", "no share"),
        (Share, True, "has no unit"),
        (Size, "20kb", "no size"),
    ],
)
def test_mistakes_in_units_say_what_to_write(kind: type, value: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_unit(kind, value)
