"""The statuses of a run in its folder, a line each, and the run played back from them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec

from streams.bus import BY_THE_WAY_MS, Bus
from streams.kafka.topics import STATUS
from streams.watch.fold import Fold
from streams.watch.picture import Picture
from wire.errors import InputError
from wire.malformed import Malformed
from wire.status import Status, decode_status

FILE = "status.jsonl"
STEP_MS = 1000


class _Line(msgspec.Struct):
    """When it was heard (wall clock), and what."""

    heard_ms: int
    status: msgspec.Raw


class Recorder:
    """Writes what the topic `status` says to `folder`, a step at a time."""

    def __init__(self, bus: Bus, folder: Path) -> None:
        everything = dict.fromkeys(bus.bounds(STATUS))
        self._consumer = bus.consumer("coda-recorder", [STATUS], "earliest", assign=everything, within_ms=BY_THE_WAY_MS)
        self._file = (folder / FILE).open("wb")

    def step(self) -> None:
        """Write what has come; what is no status is left out."""
        for message in self._consumer.poll(timeout_s=0):
            try:
                decode_status(message.value)
            except Malformed:
                continue
            self._file.write(msgspec.json.encode(_Line(message.timestamp_ms, msgspec.Raw(message.value))) + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.step()
        self._consumer.close()
        self._file.close()


def recorded(folder: Path) -> list[tuple[int, Status]]:
    """When each status of a run was heard, and what it said; raises `InputError` for a folder without any."""
    path = folder / FILE
    try:
        lines = [msgspec.json.decode(line, type=_Line) for line in path.read_bytes().splitlines()]
        found = [(line.heard_ms, decode_status(bytes(line.status))) for line in lines]
    except OSError as error:
        raise InputError(
            f"{folder} has no {FILE} ({error.strerror}): give the folder of a run of `coda demo`"
        ) from error
    except (msgspec.DecodeError, Malformed) as error:
        raise InputError(f"{path} is damaged, or of another version ({error}): run it again") from error
    if not found:
        raise InputError(f"{path} is empty: that run ended before a process said anything")
    return sorted(found, key=lambda heard: heard[0])


class Playback:
    """A run that was, at one moment of it after the other."""

    def __init__(self, heard: Sequence[tuple[int, Status]]) -> None:
        self._heard = heard
        self._begin_ms, self._end_ms = heard[0][0], heard[-1][0]
        self.now_ms = self._begin_ms
        self.paused = False
        self._fold, self._taken = Fold(), 0

    def take(self) -> Picture:
        """The picture at this moment; unless it is paused, the next one is a second later."""
        picture = self._picture()
        if not self.paused:
            self.step(STEP_MS)
        return picture

    def pictures(self) -> Iterator[Picture]:
        """All that are left, a second apart."""
        while self.now_ms < self._end_ms:
            yield self.take()
        yield self._picture()

    def last(self) -> Picture:
        """How it was at the end."""
        self.now_ms = self._end_ms
        return self._picture()

    def step(self, ms: int) -> None:
        """Go so far on, or back, but not out of the run."""
        self.now_ms = min(self._end_ms, max(self._begin_ms, self.now_ms + ms))

    @property
    def place(self) -> str:
        """How far that is."""
        at, of = ((ms - self._begin_ms) // 1000 for ms in (self.now_ms, self._end_ms))
        return f"{at} s of {of} s{' paused' if self.paused else ''}"

    def _picture(self) -> Picture:
        if self._taken and self._heard[self._taken - 1][0] > self.now_ms:
            self._fold, self._taken = Fold(), 0  # a step back: the past is folded anew
        while self._taken < len(self._heard) and self._heard[self._taken][0] <= self.now_ms:
            heard_ms, status = self._heard[self._taken]
            self._fold.take(status, heard_ms)
            self._taken += 1
        return self._fold.picture(self.now_ms)
