"""A scorer on the embedded Kafka: everything goes on once in effect, however often it is killed."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from models.quorum import LEAD_MS
from monitor.metrics import Metrics
from streams.base.context import ContextOptions
from streams.base.names import ONLINE
from streams.base.training import Abandoned, Beside
from streams.commands.replay import command as replay
from streams.commands.score import command as score
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.options import KafkaOptions
from streams.kafka.topics import DEAD_LETTERS, EVENTS, SCORE_GROUP, UNSCORED
from streams.scoring.came import DUPLICATE, LATE
from streams.scoring.scorer import EXPECTED, OWN
from streams.scoring.service import ScoringService
from streams.scoring.state import FILE, ScoringState
from tests.at_once import AtOnce
from tests.integration.stack import Command
from tests.streams.flow.world import Flow, World, keys, wait_until
from tests.streams.kafka.lag import lag
from tests.streams.scoring.world import SHARE, keep, log_in, messages, said, scorer_of, tail_of
from wire.clock import SystemClock
from wire.errors import InputError, StorageError
from wire.event import Event, decode_event, encode_event
from wire.reason import Reason


@pytest.fixture
def world() -> Iterator[World]:
    with EmbeddedKafka() as kafka:
        yield World(kafka.bootstrap)


class SlowDisk(Executor):
    """One that is through with what it is given when the test says so."""

    def __init__(self) -> None:
        self._given: tuple[Callable[[], Any], Future[Any]] | None = None

    def submit(self, act: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        assert self._given is None, "one after the other"
        self._given = partial(act, *args, **named), Future()
        return self._given[1]

    def write(self) -> None:
        (act, done), self._given = self._taken(), None
        done.set_result(act())

    def fail(self, error: Exception) -> None:
        (_, done), self._given = self._taken(), None
        done.set_exception(error)

    def _taken(self) -> tuple[Callable[[], Any], Future[Any]]:
        assert self._given is not None, "nothing was given"
        return self._given


def service_of(
    world: World,
    folder: Path,
    metrics: Metrics,
    *,
    epoch_ms: int = 60_000,
    disk: Executor | None = None,
) -> ScoringService:
    """One that goes on from the state in `folder`, or begins."""
    state = ScoringState(folder)
    scorer, positions = state.resume(SystemClock().steady_ms()) or (scorer_of(log_in(folder), ONLINE), {})
    return ScoringService(
        world.bus,
        SystemClock(),
        metrics,
        scorer,
        state,
        topic=UNSCORED,
        positions=positions,
        epoch_ms=epoch_ms,
        disk=disk or AtOnce(),
    )


def events_on(world: World, topic: str) -> list[Event]:
    return [decode_event(message.value) for message in world.read(topic)]


def send(world: World, *raws: bytes) -> None:
    for raw in raws:
        world.send_raw(raw, UNSCORED)


def test_what_came_since_the_state_was_written_is_said_again_and_nothing_is_lost(world: World, tmp_path: Path) -> None:
    raws, metrics = [encode_event(event) for event in tail_of(log_in(tmp_path))[:30]], Metrics()
    send(world, *raws[:10])
    with closing(service_of(world, tmp_path, metrics)) as service:
        wait_until(lambda: service.step() >= 0 and len(world.read(EVENTS)) == 10, "the first ten")
        service.keep()
        send(world, *raws[10:20])
        wait_until(lambda: service.step() >= 0 and len(world.read(EVENTS)) == 20, "ten more")  # and then it is killed
    send(world, *raws[20:])
    with closing(service_of(world, tmp_path, Metrics())) as service:
        wait_until(lambda: service.step() >= 0 and len(world.read(EVENTS)) == 40, "the rest, and ten once more")
    counts = Counter(event.event_id for event in events_on(world, EVENTS))
    assert counts == Counter(decode_event(raw).event_id for raw in [*raws, *raws[10:20]])
    assert metrics.value(Metrics.events_scored, outcome=EXPECTED) == 20


def test_events_go_on_while_the_state_is_written_which_is_that_of_the_moment_it_was_begun(
    world: World, tmp_path: Path
) -> None:
    raws, disk = [encode_event(event) for event in tail_of(log_in(tmp_path))[:20]], SlowDisk()
    send(world, *raws[:10])
    with closing(service_of(world, tmp_path, Metrics(), epoch_ms=0, disk=disk)) as service:
        wait_until(lambda: service.step() >= 0 and len(world.read(EVENTS)) == 10, "the first ten")
        assert ScoringState(tmp_path).resume(SystemClock().steady_ms()) is None
        send(world, *raws[10:])
        wait_until(lambda: service.step() >= 0 and len(world.read(EVENTS)) == 20, "ten more")
        disk.write()
    resumed = ScoringState(tmp_path).resume(SystemClock().steady_ms())
    assert resumed is not None and sum(resumed[1].values()) <= 10, "or fewer: it may have begun before the first came"


def test_a_disk_that_is_full_is_told_by_the_step_that_comes_next_or_at_the_end(world: World, tmp_path: Path) -> None:
    disk = SlowDisk()
    for end in False, True:
        service = service_of(world, tmp_path, Metrics(), epoch_ms=0, disk=disk)
        send(world, encode_event(tail_of(log_in(tmp_path))[0]))
        service.step()
        disk.fail(StorageError("no room"))
        with pytest.raises(StorageError, match="no room"):
            service.close() if end else service.step()
        service.close()


def test_events_keep_key_and_moment_and_what_is_none_becomes_a_dead_letter(world: World, tmp_path: Path) -> None:
    (event, other, *_), metrics = tail_of(log_in(tmp_path)), Metrics()
    send(world, encode_event(event), b"no event", encode_event(replace(other, base=1.5)))
    came = {message.value: message for message in world.read(UNSCORED)}
    with closing(service_of(world, tmp_path, metrics)) as service:
        wait_until(lambda: service.step() >= 0 and len(world.read(EVENTS)) == 2, "both events")
        wait_until(lambda: service.step() >= 0 and not any(lag_of(world).values()), "its positions to be committed")
    out = {decode_event(message.value).event_id: message for message in world.read(EVENTS)}
    assert out[event.event_id].key.decode() == event.user_id
    assert out[event.event_id].timestamp_ms == came[encode_event(event)].timestamp_ms
    assert out[other.event_id].value == encode_event(replace(other, base=1.5))
    (letter,) = world.read(DEAD_LETTERS)
    origin = came[b"no event"]
    assert letter.value == b"no event" and letter.headers["reason"].decode() == Reason.MALFORMED
    assert letter.headers["source"] == b"unscored" and int(letter.headers["offset"]) == origin.offset
    assert metrics.value(Metrics.rejected, reason=Reason.MALFORMED) == 1
    assert metrics.value(Metrics.events_scored, outcome=OWN) == 1


def test_what_a_producer_sends_again_reaches_the_dataflow_behind_the_first_and_is_counted(
    world: World, tmp_path: Path
) -> None:
    (late, other, *_), metrics = tail_of(log_in(tmp_path)), Metrics()
    event = replace(late, event_id="again", timestamp=late.timestamp + LEAD_MS + 1)
    raw = encode_event(event)
    send(world, raw, raw, encode_event(other), raw, encode_event(late))
    with closing(service_of(world, tmp_path, metrics)) as service:
        wait_until(lambda: service.step() >= 0 and len(world.read(EVENTS)) == 5, "all five")
    first, *again = [m.value for m in world.read(EVENTS) if decode_event(m.value).event_id == event.event_id]
    assert decode_event(first).base is not None and again == [raw, raw]
    counts = {word: metrics.value(Metrics.events_scored, outcome=word) for word in (EXPECTED, DUPLICATE, LATE)}
    assert counts == {EXPECTED: 2, DUPLICATE: 2, LATE: 1}


def test_what_happens_long_after_all_others_is_a_dead_letter_from_where_it_came(world: World, tmp_path: Path) -> None:
    events = [replace(event, user_id=f"u{n % 5}") for n, event in enumerate(tail_of(log_in(tmp_path))[:50])]
    far = replace(events[0], event_id="far", timestamp=events[0].timestamp + 400 * 86_400_000)
    send(world, *map(encode_event, (*events[:10], far, *events[10:])))
    with closing(service_of(world, tmp_path, Metrics())) as service:
        wait_until(lambda: service.step() >= 0 and len(world.read(DEAD_LETTERS)) == 1, "the one of another year")
    (letter,) = world.read(DEAD_LETTERS)
    assert letter.headers["reason"].decode() == Reason.AHEAD and letter.headers["source"] == b"unscored"


def test_a_backlog_of_several_partitions_is_told_what_its_log_is_told(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.scoring.service._BATCH", 20)  # of some hundred in a partition
    path = log_in(tmp_path)
    tail = tail_of(path)
    play(world, path, str(tail[0].timestamp))
    assert len({message.partition for message in world.read(UNSCORED)}) > 1
    with closing(service_of(world, tmp_path, Metrics())) as service:
        wait_until(lambda: service.step() >= 0 and len(world.read(EVENTS)) == len(tail), "all events")
    assert {event.event_id: event.base for event in events_on(world, EVENTS)} == said(
        scorer_of(path, ONLINE), messages(tail)
    )


def lag_of(world: World) -> dict[int, int]:
    return lag(world.settings.bootstrap, SCORE_GROUP, UNSCORED)


def test_an_event_after_a_gap_goes_on_when_nothing_says_otherwise(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operators.event_time.PATIENCE_MS", 300)
    monkeypatch.setattr("streams.scoring.service.PATIENCE_MS", 300)
    first, then, *_ = tail_of(log_in(tmp_path))
    send(world, encode_event(first), encode_event(replace(then, timestamp=then.timestamp + 7_200_000)))
    with closing(service_of(world, tmp_path, Metrics())) as service:
        wait_until(lambda: service.step() >= 0 and len(world.read(EVENTS)) == 2, "an event two hours later")


def test_a_state_of_which_kafka_has_no_more_the_next_event_is_told(world: World, tmp_path: Path) -> None:
    keep(ScoringState(tmp_path), scorer_of(log_in(tmp_path), ONLINE), {(UNSCORED, 0): 7})
    with pytest.raises(InputError, match=r"offset 7 of unscored\[0\].*--state"):
        service_of(world, tmp_path, Metrics())


def test_a_state_of_another_topic_is_refused_as_its_offsets_mean_other_events(world: World, tmp_path: Path) -> None:
    keep(ScoringState(tmp_path), scorer_of(log_in(tmp_path), ONLINE), {("other", 0): 0})
    with pytest.raises(InputError, match="--topic other"):
        service_of(world, tmp_path, Metrics())


def test_what_the_command_can_t_do_it_says_at_once(world: World, tmp_path: Path) -> None:
    kafka, state = KafkaOptions(world.settings.bootstrap), tmp_path / "state"
    with pytest.raises(InputError, match="--initial-log LOG"):
        score(kafka=kafka, state=state)
    with pytest.raises(InputError, match="--topic events"):
        score(kafka=kafka, state=state, topic=EVENTS)
    keep(ScoringState(state), scorer_of(log_in(tmp_path), ONLINE))
    with pytest.raises(InputError, match="--base online, not boosted"):
        score(kafka=kafka, state=state, base="boosted")
    with pytest.raises(InputError, match="--seed 0, not 1"):
        score(kafka=kafka, state=state, seed=1)
    with pytest.raises(InputError, match="no --item-context, not price"):
        score(kafka=kafka, state=state, context=ContextOptions("price"))
    with pytest.raises(InputError, match="no topic nowhere"):  # before it looks for the log
        score(kafka=kafka, state=tmp_path / "new", topic="nowhere", initial_log="no log")


@pytest.mark.parametrize("where", ["streams.commands.score.begin", "streams.commands.score.ScoringState.resume"])
def test_the_command_trains_beside_the_stream_whether_it_begins_or_goes_on(
    where: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*given: object, hand: object = None, **_: object) -> None:
        assert isinstance(hand or given[-1], Beside)
        raise InputError("this is all")

    monkeypatch.setattr(where, told)
    with pytest.raises(InputError, match="this is all"):
        score(kafka=KafkaOptions(world.settings.bootstrap), state=tmp_path / "state", initial_log=str(log_in(tmp_path)))


def test_told_to_stop_while_it_waits_for_trees_it_leaves_the_state_that_was_saved_last(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(_: ScoringService) -> int:
        raise Abandoned

    monkeypatch.setattr(ScoringService, "step", told)
    score(
        kafka=KafkaOptions(world.settings.bootstrap),
        state=tmp_path / "state",
        initial_log=str(log_in(tmp_path)),
        base="online",
    )
    assert "stopped while trees were trained" in "".join(capsys.readouterr())
    assert not (tmp_path / "state" / FILE).exists(), "what it knows is not of one moment"


def test_from_a_replay_to_the_pool_everything_is_there_once_after_a_kill(world: World, tmp_path: Path) -> None:
    path, tail = log_in(tmp_path), tail_of(log_in(tmp_path))
    first, second, third = (str(tail[at].timestamp) for at in (0, len(tail) // 3, 2 * len(tail) // 3))
    at = ("--bootstrap", world.settings.bootstrap, "--state", "score", "--epoch", "1s")
    scorer = Command(tmp_path, "score", "score", *at, "--initial-log", str(path), "--initial-share", str(SHARE))
    world.publish()
    try:
        with Flow(world, tmp_path / "flow") as flow:
            scorer.start()
            play(world, path, first, second)
            wait_until((tmp_path / "score" / FILE).exists, "a state to go on from")
            play(world, path, second, third)
            wait_until(lambda: len(world.read(EVENTS)) > len(tail) // 3, "events that this state knows nothing of")
            scorer.kill()
            play(world, path, third)
            scorer.start()
            wait_until(lambda: {e.event_id for e in events_on(world, EVENTS)} == {e.event_id for e in tail}, "all")
            world.drained()
            assert scorer.stop() == 130, scorer.said()
            assert flow.stop() == 130
    finally:
        if scorer.alive:
            scorer.kill()
    assert all(event.base is not None for event in events_on(world, EVENTS))
    assert set(flow.pooled()) == keys(tail) and len(flow.pooled()) == len(tail)


def play(world: World, path: Path, first: str, until: str | None = None) -> None:
    assert replay(str(path), via="score", from_=first, until=until, kafka=KafkaOptions(world.settings.bootstrap)) == 0
