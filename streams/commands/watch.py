"""`coda watch`: how everything is, from what each process says of itself."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from streams.kafka.bus import KafkaBus
from streams.kafka.connection import probe
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.watch.picture import Picture
from streams.watch.reader import StatusReader
from streams.watch.recording import Playback, Recorder
from streams.watch.text import as_text
from wire.clock import SystemClock
from wire.errors import InputError

_EVERY_S = 1.0
_TEXT_EVERY_S = 10.0
_READ_S = 30.0  # a day of statuses is read within seconds


def command(
    run: Path | None = None,
    *,
    kafka: KafkaOptions = LOCAL_KAFKA,
    record: Path | None = None,
    once: bool = False,
    json: bool = False,
) -> None:
    """Show how fresh everything is, what is stuck, and whose fault that is, until interrupted.

    It finds all processes by itself: each tells Kafka once a second how it is.

    Example

    ```
    coda watch --bootstrap 127.0.0.1:9092
    coda watch --once --json
    coda watch --record runs/mine
    coda watch runs/20261128-101500
    ```

    Args:
        run: The folder of a run of `coda demo`, `coda chaos` or `coda watch --record`, to play it back; with --once
            as it was at its end.
        record: A folder to write to what all processes say from now on: `coda report` makes a report of it.
        once: Show it once and end.
        json: Print the picture as JSON on standard output: a line each second, or with --once one line.
    """
    shows = sys.stdout.isatty() and not (once or json)
    if run is not None:
        if record is not None:
            raise InputError("a run that is played back was recorded: give a folder, or --record, not both")
        playback = Playback.of(run)
        if shows:
            _show(playback.take, lambda: playback.now_ms, playback)
            return
        for picture in [playback.last()] if once else playback.pictures():
            _print(picture, as_json=json)
        return
    settings = kafka.settings()
    probe(settings.bootstrap, properties=settings.properties)
    clock = SystemClock()
    with ExitStack() as opened:
        recorder = opened.enter_context(Recorder(record, clock.wall_ms())) if record is not None else None
        reader = opened.enter_context(StatusReader(KafkaBus(settings), clock, recorder))
        reader.catch_up(_READ_S)
        if shows:
            _show(reader.newest, reader.now_ms)
            return
        while True:
            _print(reader.picture(), as_json=json)
            if once:
                return
            _read_for(reader, _EVERY_S if json else _TEXT_EVERY_S)


def _show(take: Callable[[], Picture], now_ms: Callable[[], int], playback: Playback | None = None) -> None:
    from streams.watch.app import WatchApp  # noqa: PLC0415 - a third of a second that --once saves

    app = WatchApp(take, now_ms, playback)
    app.run()
    if app.failed is not None:
        raise app.failed


def _print(picture: Picture, *, as_json: bool) -> None:
    print(msgspec.json.encode(picture).decode() if as_json else as_text(picture), flush=True)


def _read_for(reader: StatusReader, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        reader.poll(left_s)
