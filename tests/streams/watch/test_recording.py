"""A run that was, played back: the same pictures, forwards and backwards."""

from pathlib import Path

import pytest

from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import STATUS
from streams.watch.app import WatchApp
from streams.watch.fold import Fold
from streams.watch.picture import Picture
from streams.watch.reader import StatusReader
from streams.watch.recording import FILE, Playback, Recorder, recorded
from tests.streams.watch.statuses import frontier, pooled, status
from wire.clock import SystemClock
from wire.errors import InputError
from wire.status import encode_status

RUN = [
    (s * 1000, status(at_s=s, values=pooled(10 * s), frontiers=(frontier("pooled", s, s, s),))) for s in range(1, 21)
]


def test_what_a_run_said_is_in_its_folder(tmp_path: Path) -> None:
    with EmbeddedKafka() as kafka:
        bus = KafkaBus(KafkaSettings(kafka.bootstrap))
        ensure_topics(bus.settings, [STATUS])
        producer = bus.producer()
        for at_ms, said in RUN:
            producer.send(STATUS, said.key, encode_status(said), timestamp_ms=at_ms)
        producer.send(STATUS, "x", b"no status", timestamp_ms=99_000)
        producer.flush(10)
        with Recorder(tmp_path, since_ms=5000) as recorder, StatusReader(bus, SystemClock(), recorder) as reader:
            reader.catch_up(10)
    assert recorded(tmp_path) == RUN[4:], "from when it was told to, and what is no status is left out"
    with pytest.raises(InputError, match="holds a run already"), Recorder(tmp_path):
        pass


def test_each_moment_is_as_it_was() -> None:
    fold = Fold()
    for (heard_ms, said), picture in zip(RUN, Playback(RUN).pictures(), strict=True):
        fold.take(said, heard_ms)
        assert picture == fold.picture(heard_ms)


def test_a_step_back_shows_what_was_before() -> None:
    playback = Playback(RUN)
    playback.paused = True
    seen: dict[int, Picture] = {}
    for step_ms in (5000, 5000, -7000, 7000, -99_000, 99_000):
        playback.step(step_ms)
        picture = playback.take()
        assert seen.setdefault(picture.at_ms, picture) == picture
    assert sorted(seen) == [1000, 4000, 6000, 11_000, 20_000]
    assert playback.place == "19 s of 19 s paused"


async def test_space_stops_and_arrows_step() -> None:
    playback = Playback(RUN)
    app = WatchApp(playback.take, lambda: playback.now_ms, playback)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("space")
        at_ms = playback.now_ms
        await pilot.press("right", "right", "left")
        assert playback.paused and playback.now_ms == at_ms + 1000
        await pilot.press("slash", "p", "left")
        assert playback.now_ms == at_ms + 1000, "while something is typed, arrows move in the line"


def test_a_recording_that_ends_within_a_line_is_played_back_up_to_that(tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        for heard_ms, said in RUN:
            recorder.take(encode_status(said), heard_ms)
    written = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(written[:-40])
    assert recorded(tmp_path) == RUN[:-1]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "has no status.jsonl"), (b"", "is empty"), (b"{}\n", "is damaged"), (b"\xff", "is damaged")],
)
def test_a_folder_that_is_no_run_is_told_in_one_line(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match=said):
        recorded(tmp_path)
