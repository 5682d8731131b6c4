from collections.abc import Iterator

import pytest

from models.artefact import model_from_bytes
from models.cloud_model import CloudModel
from streams.flow import model_feed
from streams.flow.model_feed import ModelFeed
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import MODELS
from tests.streams.flow.world import World, wait_until


@pytest.fixture
def world() -> Iterator[World]:
    with EmbeddedKafka() as kafka:
        yield World(kafka.bootstrap)


@pytest.fixture
def feed(world: World) -> Iterator[ModelFeed]:
    feed = ModelFeed(world.settings)
    yield feed
    feed.close()


def version(feed: ModelFeed) -> int:
    current = feed.current()
    return current.version if isinstance(current, CloudModel) else 0


def test_follows_the_newest_version(world: World, feed: ModelFeed) -> None:
    assert feed.current() is None
    world.publish(1)
    wait_until(lambda: version(feed) == 1, "version 1")
    world.publish(2)
    wait_until(lambda: version(feed) == 2, "version 2")


def test_starts_with_the_newest_of_those_that_are_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 6):
        world.publish(number)
    taken: list[int] = []

    def unpack(raw: bytes) -> CloudModel:
        taken.append(len(raw))
        return model_from_bytes(raw)

    monkeypatch.setattr(model_feed, "model_from_bytes", unpack)
    feed = ModelFeed(world.settings)
    wait_until(lambda: version(feed) == 5, "version 5")
    assert len(taken) == 1
    feed.close()


def test_a_damaged_version_is_passed_over_aloud(
    world: World, feed: ModelFeed, capsys: pytest.CaptureFixture[str]
) -> None:
    world.publish(1)
    wait_until(lambda: version(feed) == 1, "version 1")
    world.send_raw(b"\0\0\0\5damaged", MODELS)
    said: list[str] = []

    def passed_over() -> bool:
        feed.current()
        said.append(capsys.readouterr().out)
        return "passed over" in "".join(said)

    wait_until(passed_over, "a word about it")
    assert "does not match" in "".join(said) or "no readable manifest" in "".join(said)
    assert version(feed) == 1
