"""The replay into a real broker: the embedded one, and Apache Kafka where there is one."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from monitor.metrics import Metrics
from streams.bus import Message
from streams.cli import run
from streams.kafka.admin import ensure_topics
from streams.kafka.bounds import bounds, read_between
from streams.kafka.connection import KafkaSettings
from streams.kafka.consumer import BatchConsumer
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.lag import GroupPositions
from streams.kafka.producer import CheckedProducer
from streams.replay.pacing import Pacer
from streams.replay.replay import Replay
from streams.replay.source import LogSource, Range
from streams.replay.state import ReplayState, load_state
from streams.replay.throttle import NoThrottle, Throttle
from streams.replay.view import Standing
from tests.clock import HandClock
from tests.integration.stack import free_port, wait_until
from tests.streams.logs.world import HEADER, make_log, write_csv
from wire.clock import SystemClock
from wire.errors import DeliveryError
from wire.event import decode_event
from wire.moments import WallMs

LOG = make_log(2000)


class Silence:
    """A view for tests: remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.standings: list[Standing] = []

    def show(self, standing: Standing) -> None:
        self.standings.append(standing)

    def say(self, line: str) -> None:
        self.lines.append(line)


class Clock(HandClock):
    """A steady clock that moves when somebody sleeps, and the machine's wall clock."""

    def wall_ms(self) -> WallMs:
        return SystemClock().wall_ms()

    @property
    def now_s(self) -> float:
        return self.steady / 1000

    def sleep(self, seconds: float) -> None:
        self.steady += round(seconds * 1000)


def messages_in(settings: KafkaSettings, topic: str) -> list[Message]:
    return list(read_between(settings, "test", bounds(settings, topic)))


def event_ids(settings: KafkaSettings, topic: str) -> Counter[str]:
    return Counter(decode_event(message.value).event_id for message in messages_in(settings, topic))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    LOG.write_parquet(tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


def make_replay(
    settings: KafkaSettings,
    log: Path,
    clock: Clock,
    *,
    speed: float = float("inf"),
    state: Path | None = None,
    throttle: Throttle | NoThrottle | None = None,
    view: Silence | None = None,
) -> Replay:
    source = LogSource(log, Range())
    return Replay(
        source,
        CheckedProducer(settings),
        "events",
        pacer=Pacer(speed),
        throttle=throttle or NoThrottle(),
        view=view or Silence(),
        identity=source.identity,
        state_path=state,
        start=load_state(state, source.identity) if state else None,
        metrics=Metrics(),
        clock=clock,
        sleep=clock.sleep,
    )


def test_every_event_arrives_once_keyed_by_its_user(kafka: KafkaSettings, log: Path) -> None:
    assert make_replay(kafka, log, Clock()).run().sent == 2000
    found = messages_in(kafka, "events")
    events = [decode_event(message.value) for message in found]
    assert len({event.event_id for event in events}) == len(events) == 2000
    assert all(message.key == event.user_id.encode() for message, event in zip(found, events, strict=True))
    assert sorted(event.timestamp for event in events) == LOG["timestamp"].to_list()
    of_one_user = [event.timestamp for event in events if event.user_id == "u0"]
    assert of_one_user == sorted(of_one_user)


def test_the_pace_is_that_of_event_time(kafka: KafkaSettings, log: Path) -> None:
    clock = Clock()
    make_replay(kafka, log, clock, speed=100).run()  # 1,999 s of events
    assert clock.now_s == pytest.approx(19.99, abs=0.05)


@pytest.mark.parametrize("commits", [False, True])
def test_a_group_that_never_commits_is_waited_for_and_named_and_one_that_does_is_not_blamed_for_the_pace(
    kafka: KafkaSettings, log: Path, commits: bool
) -> None:
    view, end_s = Silence(), 60.0

    class Watch(Clock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if self.now_s > end_s:
                raise KeyboardInterrupt

    with GroupPositions(kafka, "readers") as group, pytest.raises(KeyboardInterrupt):
        throttle = Throttle([group], "events", 10**9 if commits else 10)
        make_replay(kafka, log, Watch(), speed=1e-9 if commits else float("inf"), throttle=throttle, view=view).run()
    notes = {standing.note for standing in view.standings}
    assert any("waiting for readers" in note and "is it running?" in note for note in notes) != commits


def test_what_a_kafka_does_not_give_is_waited_for_and_said(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.waiting.EVERY_MS", 0)
    found: list[Message] = []
    reading = threading.Thread(target=lambda: found.extend(read_between(kafka, "g", {("events", 0): (0, 1)})))
    with capture_logs() as lines:
        reading.start()
        wait_until(lambda: bool(lines), "a line", 20)
        CheckedProducer(kafka).send("events", "ann", b"there", partition=0)
        reading.join(20)
    assert [message.value for message in found] == [b"there"]
    assert "to give events[0] from offset 0 on" in lines[0]["event"]


def test_an_interrupted_replay_goes_on_where_it_stopped(kafka: KafkaSettings, log: Path, tmp_path: Path) -> None:
    clock, state = Clock(), tmp_path / "state.json"

    def until(limit_s: float) -> Callable[[float], None]:
        def sleep(seconds: float) -> None:
            clock.sleep(seconds)
            if clock.now_s > limit_s:
                raise KeyboardInterrupt

        return sleep

    sent = 0
    for limit_s in (3.0, 9.0):
        replay = make_replay(kafka, log, clock, speed=100, state=state)
        replay._sleep = until(limit_s)
        with pytest.raises(KeyboardInterrupt):
            replay.run()
        sent += replay.totals.sent
    assert 0 < sent < 2000
    last = make_replay(kafka, log, clock, state=state)
    assert sent + last.run().sent == 2000
    assert event_ids(kafka, "events").most_common(1)[0][1] == 1
    assert msgspec.json.decode(state.read_bytes(), type=ReplayState).finished


def test_malformed_rows_go_to_the_dead_letters_with_their_bytes_line_and_reason(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    rows = [f"u,i,c,e,{'x' if n % 3 == 0 else 1},{n}" for n in range(30)]
    totals = make_replay(kafka, write_csv(tmp_path / "a.csv", *rows), Clock()).run()
    assert (totals.sent, totals.rejected.total()) == (20, 10)
    letters = messages_in(kafka, "events.dlq")
    assert sorted(letter.value for letter in letters) == sorted(row.encode() for row in rows[::3])
    assert {letter.headers["detail"] for letter in letters} == {b"label is x, not 0 or 1"}
    assert sorted(int(letter.headers["line"]) for letter in letters) == list(range(2, 32, 3))


def test_one_enormous_row_goes_to_the_dead_letters_cut_and_the_rest_goes_on(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    rows = ["u,i,c,e,1,1", f"u,{'é' * 700_000},c,e,1,2", "u,i,c,e,1,3"]
    totals = make_replay(kafka, write_csv(tmp_path / "a.csv", *rows), Clock()).run()
    assert (totals.sent, totals.rejected.total()) == (2, 1)
    (letter,) = messages_in(kafka, "events.dlq")
    assert letter.headers["line"] == b"3" and b"1400010 bytes" in letter.headers["detail"]
    assert rows[1].encode().startswith(letter.value) and 0 < len(letter.value) < 100_000


def test_a_broker_that_dies_is_an_error_and_the_state_stays_true(log: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with EmbeddedKafka() as broker:
        settings = KafkaSettings(broker.bootstrap, delivery_timeout_s=1)
        ensure_topics(settings)
        clock = Clock()
        replay = make_replay(settings, log, clock, speed=100, state=state)

        def sleep(seconds: float) -> None:
            clock.sleep(seconds)
            if clock.now_s > 5:
                broker.close()

        replay._sleep = sleep
        with pytest.raises(DeliveryError):
            replay.run()
    saved = msgspec.json.decode(state.read_bytes(), type=ReplayState)
    assert 0 < saved.position["events"] < 700
    assert not saved.finished


@pytest.fixture
def reader(kafka: KafkaSettings) -> Iterator[list[Message]]:
    """A flow that starts late: reads `events` as group coda-flow, and fails on any gap."""
    found: list[Message] = []
    stop = threading.Event()

    def read() -> None:
        stop.wait(1)
        with BatchConsumer(kafka, "coda-flow", [], assign={("events", n): None for n in range(4)}) as consumer:
            while not stop.is_set():
                found.extend(consumer.poll(500, 0.05))
                consumer.commit()

    thread = threading.Thread(target=read)
    thread.start()
    yield found
    stop.set()
    thread.join()


def test_on_the_embedded_broker_nothing_is_dropped_before_it_is_read(
    kafka: KafkaSettings, reader: list[Message], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = random.Random(1)  # which hardly compresses: of one user's 12 MB, one partition keeps 5
    rows = [f"u1,{n},c,e,1,{n},{noise.randbytes(300).hex()}" for n in range(20_000)]
    path = write_csv(tmp_path / "a.csv", *rows, header=HEADER + ",note")
    assert run(["replay", str(path), "--bootstrap", kafka.bootstrap, "--json"]) == 0
    deadline_s = time.monotonic() + 20
    while len(reader) < 20_000 and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert len({message.value for message in reader}) == len(reader) == 20_000
    assert json.loads(capsys.readouterr().out)["sent"] == 20_000


def test_via_devices_the_events_go_to_what_users_do(
    kafka: KafkaSettings, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["replay", str(log), "--via", "devices", "--bootstrap", kafka.bootstrap, "--throttle-groups", ""]
    assert run([*arguments, "--from", str(LOG["timestamp"][500]), "--until", str(LOG["timestamp"][600])]) == 0
    assert "100 events to behaviour" in capsys.readouterr().out
    assert len(event_ids(kafka, "behaviour")) == 100
    assert messages_in(kafka, "events") == []


def test_a_topic_is_replayed_to_the_devices(kafka: KafkaSettings, log: Path) -> None:
    make_replay(kafka, log, Clock()).run()
    again = ["--bootstrap", kafka.bootstrap, "--throttle-groups", ""]
    assert run(["replay", "kafka://events", "--via", "devices", *again]) == 0
    assert event_ids(kafka, "behaviour") == event_ids(kafka, "events")
    assert run(["replay", "kafka://events", *again]) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing.csv"], "there is no file nothing.csv"),
        (["LOG", "--speed", "fast"], "--speed fast is no speed"),
        (["LOG", "--from", "2001-09-10", "--until", "2001-09-09"], "--from must be before --until"),
        (["LOG", "--from", "tomorrow"], "no moment"),
        (["LOG", "--from", "2030-01-01"], "no event of"),
        (["EMPTY"], "is empty"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_before_anything_is_sent(
    arguments: list[str], says: str, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    files = {"LOG": str(log), "EMPTY": str(tmp_path / "empty.csv")}
    given = [files.get(argument, argument) for argument in arguments]
    assert run(["replay", *given, "--bootstrap", f"127.0.0.1:{free_port()}"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert says in lines[0]


@pytest.mark.servers
def test_kill_9_and_ctrl_c_cost_no_event_and_send_none_twice(
    real_kafka: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ensure_topics(real_kafka)
    before = {partition: end for partition, (_, end) in bounds(real_kafka, "behaviour").items()}
    path = tmp_path / "log.parquet"
    make_log(20_000).write_parquet(path)
    # 20,000 s of events: 4 s at this speed.
    arguments = ["replay", str(path), "--via", "devices", "--speed", "5000", "--bootstrap", real_kafka.bootstrap]
    codes = []
    for how in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL, None):
        had = _sent(real_kafka, before)
        process = subprocess.Popen([sys.executable, "-m", "streams.cli", *arguments], stderr=subprocess.PIPE)
        if how is not None:
            deadline_s = time.monotonic() + 60
            while _sent(real_kafka, before) < had + 3000:
                assert time.monotonic() < deadline_s
                time.sleep(0.02)
            process.send_signal(how)
        said = process.communicate(timeout=120)[1].decode()
        codes.append(process.returncode)
        if how == signal.SIGINT:
            assert "run the same command again to go on" in said
    assert codes == [-signal.SIGKILL, 130, -signal.SIGKILL, 0]
    ends = bounds(real_kafka, "behaviour")
    found = read_between(real_kafka, "test", {p: (before[p], end) for p, (_, end) in ends.items()})
    ids = Counter(decode_event(message.value).event_id for message in found)
    assert (len(ids), ids.total()) == (20_000, 20_000)


def _sent(settings: KafkaSettings, before: dict[tuple[str, int], int]) -> int:
    return sum(end - before[partition] for partition, (_, end) in bounds(settings, "behaviour").items())


@pytest.mark.servers
def test_from_on_a_topic_is_the_time_of_producing(real_kafka: KafkaSettings, log: Path, tmp_path: Path) -> None:
    topic = f"times-{time.time_ns()}"
    produced_ms = time.time_ns() // 1_000_000 - 3_600_000  # not older than Kafka keeps messages
    ensure_topics(real_kafka, [topic])
    producer = CheckedProducer(real_kafka)
    (batch,) = LogSource(log, Range()).batches({})
    for at in range(0, 2000, 500):
        for key, value in zip(batch.keys[at : at + 500], batch.values[at : at + 500], strict=True):
            producer.send(topic, key, value, timestamp_ms=produced_ms + at)
    producer.flush()
    with EmbeddedKafka() as other:
        to = KafkaSettings(other.bootstrap)
        arguments = ["--bootstrap", to.bootstrap, "--throttle-groups", "", "--position", str(tmp_path / "s")]
        source = f"kafka://{real_kafka.bootstrap}/{topic}"
        window = ["--from", f"{produced_ms + 500}", "--until", f"{produced_ms + 1500}"]
        assert run(["replay", source, *window, *arguments]) == 0
        assert set(event_ids(to, "events")) == set(batch.ids[500:1500])
