"""The statuses of a run in its folder, a line each, and the run played back from them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec

from monitor.histogram import Histogram
from streams.watch.fold import Fold
from streams.watch.picture import Picture
from wire.durable import make_folder
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
    """Writes statuses to a new file in `folder`: those that were heard since `since_ms`. Of none no file is left.

    Raises `InputError` where there is such a file already.
    """

    def __init__(self, folder: Path, since_ms: int = 0) -> None:
        self._since_ms = since_ms
        make_folder(folder)
        self._path, self._is_empty = folder / FILE, True
        try:
            self._file = self._path.open("xb")
        except FileExistsError as error:
            raise InputError(f"{self._path} holds a run already: give another folder") from error

    def take(self, raw: bytes, heard_ms: int) -> None:
        """Write the status in `raw`, heard at `heard_ms`."""
        if heard_ms >= self._since_ms:
            self._is_empty = False
            self._file.write(msgspec.json.encode(_Line(heard_ms, msgspec.Raw(raw))) + b"\n")
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        if self._is_empty:
            self._path.unlink(missing_ok=True)


def recorded(folder: Path) -> list[tuple[int, Status]]:
    """When each status of a run was heard, and what it said; raises `InputError` for a folder without any."""
    path = folder / FILE
    try:
        raw = path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1] or raw  # whoever was killed, or had no room left, wrote half a line last
        lines = [msgspec.json.decode(line, type=_Line) for line in whole.splitlines()]
        found = [(line.heard_ms, decode_status(bytes(line.status))) for line in lines]
    except OSError as error:
        raise InputError(
            f"{folder} has no {FILE} ({error.strerror}): give the folder of a run of `coda demo`, "
            "`coda chaos`, or of `coda watch --record`"
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

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The run in `folder`; raises `InputError` as `recorded` does."""
        return cls(recorded(folder))

    @property
    def passed_before(self) -> dict[str, Histogram]:
        """By stage, the ages of what had passed before the run was heard, as processes said first that were there."""
        fold, keys = Fold(), set[str]()
        for heard_ms, status in self._heard:
            if status.key not in keys and status.boot < self._begin_ms:
                fold.take(status, heard_ms)
            keys.add(status.key)
        return fold.passed()

    @property
    def passed(self) -> dict[str, Histogram]:
        """By stage, the ages of all that passed until this moment."""
        return self._fold.passed()

    @property
    def ended(self) -> bool:
        """Whether all who were heard said that they ended."""
        return all({status.key: status.ended for _, status in self._heard}.values())

    def take(self) -> Picture:
        """The picture at this moment; unless it is paused, the next one is a second later."""
        picture = self._picture()
        if not self.paused:
            self.step(STEP_MS)
        return picture

    def pictures(self, step_ms: int = STEP_MS) -> Iterator[Picture]:
        """All of the run from its beginning, so far apart, and its end."""
        self.now_ms = self._begin_ms
        while self.now_ms < self._end_ms:
            yield self._picture()
            self.step(step_ms)
        yield self._picture()

    def last(self) -> Picture:
        """How it was at the end."""
        self.now_ms = self._end_ms
        return self._picture()

    def step(self, ms: int) -> None:
        """Go so far on, or back, but not out of the run."""
        self.now_ms = min(self._end_ms, max(self._begin_ms, self.now_ms + ms))

    @property
    def length_ms(self) -> int:
        """How long the run was."""
        return self._end_ms - self._begin_ms

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
