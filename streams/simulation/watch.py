"""A simulation drawn in the terminal while it runs: processes, devices with their links and queues, clocks, faults."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from device_sim.device import Device
from streams.kafka.topics import CANDIDATES, EVENTS, FLEET_GROUP, FLOW_GROUP, TELEMETRY, TRAINER_GROUP, TUNNEL_GROUP
from streams.simulation.process import Process
from streams.simulation.run import Look
from streams.simulation.timeline import START_MS
from streams.simulation.tunnel import TunnelWork
from streams.simulation.world import World

FAULTS = 6  # the newest ones that are shown
Rows = Iterator[tuple[str, ...]]


@contextmanager
def watching(
    *, pace: float, console: Console, sleep: Callable[[float], object], ask: Callable[[], object]
) -> Iterator[Look]:
    """Shows a world after each of its seconds: `pace` of them in a second, or one whenever `ask` returns."""

    def step(world: World) -> None:
        console.print(screen(world))
        ask()

    if not pace:
        yield step
        return
    with Live(console=console, auto_refresh=False) as live:

        def show(world: World) -> None:
            live.update(screen(world), refresh=True)
            sleep(1 / pace)

        yield show


def screen(world: World) -> RenderableType:
    """The whole world on one screen."""
    now_ms, plan = world.timeline.now_ms, world.plan
    phase = "things fail" if now_ms < plan.safety_ms else "healed, coming to rest"
    title = (
        f"seed {plan.seed} · {now_ms / 1000:.0f} s · {phase} · model {world.newest_model[0]}.{world.newest_model[1]}"
    )
    faults = [entry for entry in world.journal.entries if entry.who in ("fault", "disk")][-FAULTS:]
    parts: list[RenderableType] = [
        Text(_weather(world)),
        _table(("process", "state", "clock", "queues"), _processes(world)),
        _table(("user", "clock", "link", "window", "outbox", "batch", "model", "state"), _devices(world)),
        Text("\n".join(str(entry) for entry in faults), style="yellow"),
    ]
    return Panel(Group(*parts), title=title)


def _table(heads: tuple[str, ...], rows: Rows) -> Table:
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    return table


def _weather(world: World) -> str:
    """What is around the processes."""
    said = {
        "Kafka": "there" if world.kafka.up else "away",
        "MQTT": "there" if world.broker.up else "away",
        "disk": "full" if world.disk.full else "has room",
        "network": "loses packets" if world.network.weather.loss else f"{world.network.weather.delay_ms} ms",
        "retained": str(len(world.broker.retained)),
    }
    return "   ".join(f"{what} {state}" for what, state in said.items())


def _processes(world: World) -> Rows:
    queues: dict[str, Callable[[], dict[str, int]]] = {
        "flow": lambda: _flow_queues(world),
        **{tunnel.name: partial(_tunnel_queues, world, tunnel) for tunnel in world.tunnels},
        "fleet": lambda: {"behind": world.kafka.behind(FLEET_GROUP, world.own)},
        "trainer": lambda: {"behind": world.kafka.behind(TRAINER_GROUP, TELEMETRY)},
    }
    for process in world.processes:
        told = queues[process.name]() if process.work is not None else {}
        yield process.name, _state(process), _ahead(process.clock.skew_ms), _counts(told)


def _state(process: Process[Any]) -> str:
    if process.work is None:
        return "[red]gone[/]"
    return "[yellow]stands still[/]" if process.paused else "[green]runs[/]"


def _flow_queues(world: World) -> dict[str, int]:
    return {
        "behind": world.kafka.behind(FLOW_GROUP, EVENTS),
        "held": sum(len(clock.times) for clock in world.logics("decode")),
        "wait for shards": sum(bool(gather.state.waiting) for gather in world.logics("gather")),
        "pooled": sum(len(pool) for pool in (world.dataflow.live() if world.dataflow else ())),
        "stopped workers": len(world.stopped_workers),
    }


def _tunnel_queues(world: World, tunnel: Process[TunnelWork]) -> dict[str, int]:
    assert tunnel.work is not None, "it runs"
    open_pushes = tunnel.work.down.tally().outstanding
    return {"behind": world.kafka.behind(TUNNEL_GROUP, CANDIDATES), "open pushes": open_pushes}


def _devices(world: World) -> Rows:
    work = world.devices
    for user in world.users.names:
        device = work.fleet.devices.get(user) if work else None
        yield user, _ahead(world.users.skews_ms[user]), _link(world, user), *_inside(device, world)


def _link(world: World, user: str) -> str:
    name = f"fleet-{user}"
    wire = world.network.wires.get(name)
    if wire is None or not wire.open:
        return "[red]down[/]"
    if wire.silent:
        return "[yellow]half open[/]"
    return "[yellow]held up[/]" if name in world.network.held else "[green]up[/]"


def _inside(device: Device | None, world: World) -> tuple[str, ...]:
    if device is None:
        return ("–",) * 5
    now_ms = START_MS + world.timeline.now_ms
    batch = "–" if device.batch is None else f"{(now_ms - device.batch.matched_ms) / 1000:.0f} s old"
    model = "newest" if device.model == world.newest else f"version {device.version}" if device.version else "–"
    state = "trains" if device.busy else f"asks: {device.asking.reason}" if device.asking.reason else ""
    return str(len(device.window)), str(len(device.outbox)), batch, model, state


def _ahead(skew_ms: int) -> str:
    """How far a clock is off.

    >>> _ahead(0), _ahead(-90_000), _ahead(7_200_000)
    ('', '-1.5 min', '+120.0 min')
    """
    return f"{skew_ms / 60_000:+.1f} min" if skew_ms else ""


def _counts(told: dict[str, int]) -> str:
    return "  ".join(f"{number} {what}" for what, number in told.items() if number)
