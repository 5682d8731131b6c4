"""What somebody sees who watches a simulation."""

from io import StringIO

from rich.console import Console

from streams.simulation.plan import Limits, draw
from streams.simulation.run import simulate
from streams.simulation.watch import watching
from streams.simulation.world import World

PLAN = draw(3, Limits(devices=(0, 1), events=10, faults=(0, 1)))


def shown(pace: float) -> tuple[str, list[float | None], int]:
    """What is drawn, how long is waited after each drawing (None: for Enter), and how many virtual seconds passed."""
    terminal, waits, seconds = StringIO(), list[float | None](), 0
    console = Console(file=terminal, width=120, force_terminal=True, color_system=None)

    with watching(pace=pace, console=console, sleep=waits.append, ask=lambda: waits.append(None)) as watch:

        def look(world: World) -> None:
            nonlocal seconds
            seconds += 1
            watch(world)

        assert simulate(PLAN, converge=False, watch=look).violation is None
    return terminal.getvalue(), waits, seconds


def test_every_second_of_it_is_drawn_and_waited_for_at_the_pace_that_was_asked_for() -> None:
    drawn, waits, seconds = shown(pace=4)
    assert waits == [0.25] * seconds
    for told in (
        "seed 3",
        "healed, coming to rest",
        "Kafka there",
        "user-1",
        "trainer",
        f"fault: {PLAN.faults[0].kind}",
    ):
        assert told in drawn


def test_step_by_step_it_goes_on_with_enter() -> None:
    _, waits, seconds = shown(pace=0)
    assert waits == [None] * seconds
