import io

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from streams.replay.view import Bar, Lines, Standing

STANDING = Standing(done=5000, total=20_000, rate=1234.5, left_s=75)


def test_elsewhere_than_on_a_terminal_a_line_comes_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = [0.0]
    lines = Lines(clock=lambda: now_s[0])
    for step in range(22):
        now_s[0] = float(step)
        lines.show(STANDING)
    told = capsys.readouterr()
    assert told.err.splitlines() == ["replay: 5,000 of 20,000 events, 1,234/s, about 1 min 15 s left"] * 2
    assert told.out == ""


def test_on_a_terminal_a_bar_shows_rate_and_time_left_and_says_what_it_waits_for() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    with Progress(TextColumn("{task.fields[words]}"), console=console) as progress:
        bar = Bar(progress)
        bar.show(Standing(5000, 20_000, 100, None, "waiting for coda-flow"))
        bar.say("line 7: no label")
    assert "5,000 of 20,000 events, 100/s (waiting for coda-flow)" in screen.getvalue()
    assert "replay: line 7: no label" in screen.getvalue()
