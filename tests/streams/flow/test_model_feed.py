from collections.abc import Iterator
from typing import Any

import pytest

from models.artefact import model_from_bytes, model_to_bytes
from models.cloud_model import CloudModel
from monitor.metrics import Metrics
from streams.flow import model_feed
from streams.flow.model_feed import ModelFeed
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import MODELS
from tests.streams.flow.world import PUBLIC, World, model, wait_until
from wire.clock import SystemClock
from wire.signing import new_keys, sign_model


@pytest.fixture
def world() -> Iterator[World]:
    with EmbeddedKafka() as kafka:
        yield World(kafka.bootstrap)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def feed(world: World, metrics: Metrics) -> Iterator[ModelFeed]:
    feed = ModelFeed(world.bus, SystemClock(), metrics)
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
    feed = ModelFeed(world.bus, SystemClock(), Metrics())
    wait_until(lambda: version(feed) == 5, "version 5")
    assert len(taken) == 1
    feed.close()


OLD, NEW = "00000000000000aa", "00000000000000bb"


def refusals(metrics: Metrics, verdict: str) -> float:
    return metrics.value(Metrics.models_refused, reason=verdict)


@pytest.mark.parametrize(
    ("offered", "verdict"),
    [((2, OLD), "older_version"), ((3, OLD, (NEW,)), "other_digest"), ((9, NEW), "other_lineage")],
)
def test_what_may_not_follow_is_refused_and_said(
    world: World, metrics: Metrics, capsys: pytest.CaptureFixture[str], offered: Any, verdict: str
) -> None:
    feed = ModelFeed(world.bus, SystemClock(), metrics)
    world.publish(3, OLD)
    wait_until(lambda: version(feed) == 3, "version 3")
    world.publish(*offered)
    wait_until(lambda: version(feed) > 0 and refusals(metrics, verdict) > 0, f"a refusal: {verdict}")
    assert version(feed) == 3 and capsys.readouterr().out.count("passed over models") == 1
    world.publish(4, OLD)
    wait_until(lambda: version(feed) == 4, "what follows it")
    feed.close()


def test_what_came_first_stays_whatever_the_clocks_of_those_who_sent_say(world: World) -> None:
    """As everyone else who reads the topic sees it, or devices would refuse what this one sends."""
    world.publish(3, OLD, timestamp_ms=90_000)
    world.publish(3, NEW, timestamp_ms=10)
    feed = ModelFeed(world.bus, SystemClock(), Metrics())
    wait_until(lambda: version(feed) == 3, "version 3")
    current = feed.current()
    assert current is not None and current.id.lineage == OLD
    feed.close()


def test_with_the_clouds_key_a_model_that_another_signed_is_refused_and_said(
    world: World, metrics: Metrics, capsys: pytest.CaptureFixture[str]
) -> None:
    feed = ModelFeed(world.bus, SystemClock(), metrics, public=PUBLIC)
    world.send_raw(sign_model(model_to_bytes(model(9)), new_keys()[0]), MODELS)
    wait_until(lambda: feed.current() is None and refusals(metrics, "unsigned") > 0, "a refusal")
    world.publish(3)
    wait_until(lambda: version(feed) == 3, "what the cloud signed")
    assert "not signed with the cloud's key" in capsys.readouterr().out
    feed.close()


def test_another_lineage_follows_when_it_says_whose_place_it_takes(
    world: World, metrics: Metrics, feed: ModelFeed
) -> None:
    world.publish(3, OLD)
    wait_until(lambda: version(feed) == 3, "version 3")
    world.publish(1, NEW, (OLD,))
    wait_until(lambda: version(feed) == 1, "the other lineage")
    world.publish(4, OLD)
    wait_until(lambda: version(feed) > 0 and refusals(metrics, "other_lineage") > 0, "what was replaced to be refused")
    assert version(feed) == 1


def test_what_the_pool_was_encoded_with_counts_after_a_restart(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A topic made anew: the flow waits, and says what would go on from here."""
    world.publish(1, NEW)
    feed = ModelFeed(world.bus, SystemClock(), Metrics(), [model(7, OLD).id, model(6, OLD).id])
    said = ""
    while "--replace" not in said:
        assert feed.current() is None
        said += capsys.readouterr().out
    assert f"--replace {OLD}" in said
    world.publish(1, "00000000000000cc", (OLD,))
    wait_until(lambda: version(feed) == 1, "a lineage that may follow")
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
    assert "malformed" in "".join(said)
    assert version(feed) == 1
