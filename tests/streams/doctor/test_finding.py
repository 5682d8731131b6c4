"""What the doctor says of what was looked at."""

import pytest

from streams.doctor.finding import Finding, at_least, looked
from wire.errors import ConnectionFailed


@pytest.mark.parametrize(("value", "word"), [(10.0, "ok"), (4.0, "warn"), (0.5, "fail")])
def test_a_value_is_held_against_both_limits(value: float, word: str) -> None:
    found = at_least("disk", value, warn=5, fail=1, unit="GB free", remedy="make room")
    assert found.seen in ("10 GB free", "4 GB free", "0.5 GB free")
    assert found.word == word and ("make room" in str(found)) == (word != "ok")


def test_what_can_not_be_looked_at_fails_in_its_own_words() -> None:
    def look() -> list[Finding]:
        raise ConnectionFailed("no Kafka answers: start it")

    assert list(map(str, looked("Kafka", look))) == ["fail  Kafka: no Kafka answers: start it"]
