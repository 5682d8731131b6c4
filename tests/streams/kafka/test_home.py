from pathlib import Path

import pytest

from streams.home import FILE, Home, settle
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.home import home_of
from wire.errors import InputError


def test_a_folder_belongs_to_the_first_kafka_it_was_used_with(tmp_path: Path) -> None:
    first = Home("one", {"events": "a"})
    settle(tmp_path / "state", first, "give another")
    settle(tmp_path / "state", first, "give another")
    with pytest.raises(InputError, match=r"state belongs to another Kafka \(cluster one, not two\): give another"):
        settle(tmp_path / "state", Home("two", {"events": "a"}), "give another")
    with pytest.raises(InputError, match="belongs to a topic events that was deleted"):
        settle(tmp_path / "state", Home("one", {"events": "b"}), "give another")


def test_a_topic_that_is_used_later_is_noted_beside_the_others(tmp_path: Path) -> None:
    settle(tmp_path, Home("one", {"events": "a"}), "")
    settle(tmp_path, Home("one", {"behaviour": "b"}), "")
    for renewed in ({"events": "c"}, {"behaviour": "c"}):
        with pytest.raises(InputError):
            settle(tmp_path, Home("one", renewed), "")


def test_a_damaged_note_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"{")
    with pytest.raises(InputError, match=r"kafka\.json"):
        settle(tmp_path, Home("one", {}), "give another")


def test_each_start_of_the_embedded_kafka_is_another(tmp_path: Path) -> None:
    for _ in range(2):
        with EmbeddedKafka() as kafka:
            home = home_of(KafkaSettings(kafka.bootstrap), ["events"])
            if not (tmp_path / FILE).exists():
                settle(tmp_path, home, "")
                continue
            with pytest.raises(InputError, match="another Kafka"):
                settle(tmp_path, home, "give another")
