"""The live view: what a person can read off it, on a terminal and off it."""

import io

import msgspec
from rich.console import Console

from monitor.state import Freshness, State
from streams.demo.view import LiveView, plain_line, screen, small_screen
from streams.watch.fold import Fold
from streams.watch.picture import Picture
from tests.streams.watch.statuses import frontier, status
from wire.status import Role

PHASES = ("brokers", "live stream", "done")
BUSY = State(
    elapsed_s=65.0,
    phase="live stream",
    produced=1500,
    pooled=1490,
    rejected={"late": 10},
    freshness={"pooled": Freshness(1490, 0.02, 0.1, 0.25), "trained": Freshness(40, 0.5, 1.5, 12.3)},
    behind={"pooled": 7, "predicted": 0},
    devices_connected=200,
    model_version=3,
    trainings={"accepted": 30, "rolled_back": 10},
    pushes=50,
    push_outcomes={"acknowledged": 45, "superseded": 2},
    pushes_outstanding=3,
    arm_auc={"cloud": 0.7, "coda": 0.71},
    arm_gauc={"cloud": 0.65, "coda": 0.64},
)
EARLIER = State(elapsed_s=64.0, phase="live stream", produced=1000)
STAGES = {
    Role.REPLAY: ("produced",),
    Role.FLOW: ("pooled", "matched"),
    Role.TUNNEL: ("tunnelled", "pushed"),
    Role.FLEET: ("predicted", "trained"),
    Role.TRAINER: ("learned",),
    Role.CANARY: ("canary",),
}


def picture() -> Picture:
    """A system of which every stage is there."""
    fold = Fold()
    for second in range(1, 11):
        for role, stages in STAGES.items():
            at = tuple(frontier(stage, 10 * second, 10 * second + 7, second - 1) for stage in stages)
            said = status(role, "x", at_s=second, values={"coda_devices_connected": {"": 200.0}}, frontiers=at)
            fold.take(said, said.said_ms)
    return fold.picture(10_000)


def shown(columns: int = 100) -> str:
    console = Console(file=io.StringIO(), width=columns)
    console.print(screen("CoDA", PHASES, [EARLIER, BUSY], "40 %", picture=picture()))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_screen_shows_every_figure_a_person_looks_for() -> None:
    text = shown()
    for words in ("01:05", "live stream 40 %", "pooled FRESH", "own lag", "200 devices", "v3", "coda -0.0100"):
        assert words in text
    assert "50 = 45 acknowledged + 2 superseded + 3 outstanding" in text


def test_the_screen_fits_a_terminal_of_80_by_24() -> None:
    lines = shown(80).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_of_six_arms_none_is_cut_off_at_80_columns() -> None:
    arms = dict.fromkeys(("cloud", "local", "random", "coarse", "mpda", "coda"), 0.5)
    busy = msgspec.structs.replace(BUSY, arm_gauc=arms, predictions=123_456, pool_live=123_456, waiting=123_456)
    console = Console(file=io.StringIO(), width=80)
    console.print(screen("CoDA", PHASES, [EARLIER, busy], "40 %", picture=picture()))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "coda +0.0000" in text and "123,456 waiting" in text and len(text.splitlines()) <= 24


def test_the_arm_that_devices_add_to_is_called_what_it_is() -> None:
    console, busy = Console(file=io.StringIO(), width=400), msgspec.structs.replace(BUSY, cloud="boosted")
    with LiveView("CoDA", PHASES, console) as view:
        view.update(busy)
    assert isinstance(console.file, io.StringIO)
    assert "GAUC boosted 0.650 coda 0.640" in console.file.getvalue()
    console.print(screen("CoDA", PHASES, [busy], "", picture=None))
    assert "GAUC boosted 0.6500  coda -0.0100" in console.file.getvalue()


def test_at_the_end_nothing_is_shown_to_be_down() -> None:
    ended = msgspec.structs.replace(BUSY, phase=PHASES[-1], devices_connected=0)
    console = Console(file=io.StringIO(), width=80)
    console.print(screen("CoDA", PHASES, [EARLIER, ended], "", picture=Fold().picture(10_000)))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "coda" in text and "DOWN" not in text and "ABSENT" not in text and "0 devices" not in text


def test_a_small_terminal_gets_what_matters_whole() -> None:
    console = Console(file=io.StringIO(), width=60)
    console.print(small_screen("CoDA", PHASES, [EARLIER, BUSY], "40 %"))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= 14 and max(map(len, lines)) <= 60
    for words in ("2 of 3: live stream 40 %", "500 events/s", "pooled 7", "coda 0.640", "50 pushes, 3 outstanding"):
        assert any(words in line for line in lines), words


def test_a_small_terminal_keeps_numbers_and_units_together() -> None:
    console = Console(file=io.StringIO(), width=60)
    p99_s = {"pooled": 0.123, "matched": 0.123, "tunnelled": 2.0, "pushed": 2.0, "trained": 2.0}
    slow = {stage: Freshness(100, 0.7, 1.6, slowest) for stage, slowest in p99_s.items()}
    console.print(small_screen("CoDA", PHASES, [EARLIER, msgspec.structs.replace(BUSY, freshness=slow)], ""))
    assert isinstance(console.file, io.StringIO)
    assert not any(line.startswith(("s ", "ms ")) for line in console.file.getvalue().splitlines())


def test_the_empty_system_has_a_screen_and_a_line() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(screen("CoDA", PHASES, [State(phase="brokers")], "", picture=None))
    assert plain_line([State(phase="brokers")], "") == "00:00 brokers"


def test_without_a_terminal_a_line_comes_at_each_phase_and_every_five_seconds() -> None:
    console = Console(file=io.StringIO(), width=40)
    with LiveView("CoDA", PHASES, console) as view:
        for second in range(11):
            view.update(State(elapsed_s=second, phase="brokers" if second < 2 else "live stream"), "")
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue().splitlines()
    assert [line.split()[0] for line in printed] == ["00:00", "00:02", "00:07"]


def test_a_plain_line_names_lag_freshness_and_arms() -> None:
    line = plain_line([EARLIER, BUSY], "40 %")
    for words in ("500 events/s", "behind pooled 7", "pooled 250 ms", "200 devices", "coda 0.640"):
        assert words in line


def test_what_came_twice_is_not_told_as_rejected() -> None:
    line = plain_line([EARLIER, msgspec.structs.replace(BUSY, rejected={"late": 10, "duplicate": 52})], "")
    assert "1,490 pooled 0 waiting 10 rejected 52 came twice" in line
