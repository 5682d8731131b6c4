"""What settings take, and what is said of what they don't."""

from pathlib import Path

import pytest

from streams.cli import COMMANDS, run


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(COMMANDS, "set-toy", ("tests.streams.toy_commands:settings", "a toy"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ((), "800 5s 1"),
        (("--devices", "all", "--delay", "250ms"), "None 250ms 1"),
        (("--delay", "1.5h", "--processes", "2"), "800 90m 2"),
    ],
)
def test_what_settings_take(flags: tuple[str, ...], shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["set-toy", *flags]) == 0
    assert capsys.readouterr().out.strip() == shown


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--devices", "0"), "--devices: 0 is neither a number of at least 1 nor all"),
        (("--devices", "-5"), "--devices: -5 is neither"),
        (("--delay", "-5s"), "--delay: '-5s' is no duration"),
        (("--delay", "5"), "--delay: '5' is no duration"),
        (("--delay", "0s"), "--delay: 0s is no time at all"),
        (("--processes", "0"), '"0" for --processes. Must be >= 1'),
    ],
)
def test_what_they_do_not_take_is_one_line_with_the_flag(
    flags: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["set-toy", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
