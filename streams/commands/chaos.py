"""`coda chaos`: break the real system on purpose, and judge what came of it."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec
from rich.console import Console

from streams.base.names import Base
from streams.commands.demo import run_in_view
from streams.demo.plan import DemoSettings
from streams.demo.stack import StackName
from streams.faults.page import verdict_lines
from streams.faults.scenario import find_scenario, shipped
from streams.run_folder import run_folder
from streams.settings import AtLeast1
from wire.durable import make_folder


def command(
    scenario: str | None = None,
    /,
    *,
    log: str | None = None,
    devices: AtLeast1 | None = None,
    seed: int | None = None,
    stack: StackName = "embedded",
    base: Base | None = None,
    classifier: bool = False,
    undisturbed: bool = True,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Break the whole system on this machine as a scenario says, heal it, and judge what came of it.

    Devices upload their events themselves, through a proxy that breaks their connections. First the same is run
    without faults, to compare with. Exits 0 only when every invariant held and every fault was seen to act. Without a
    scenario the shipped ones are listed; docs/scenarios.md says what each teaches.

    Example

    ```
    coda chaos flaky-commute
    coda chaos mine.toml --out runs/mine
    ```

    Args:
        scenario: A shipped scenario by its name, or a TOML file.
        log: Another log than the scenario's, by name or by path.
        devices: Another number of devices: those of the log's first users.
        seed: Another seed: other devices fall out.
        stack: `embedded` brokers, or `servers`: Apache Kafka and mosquitto, started for this run.
        base: What personal models add to: what your own model expected of each event (`logged`, the default where the
            log says it), boosted trees on streamed features, trained on the history of what is played (`boosted`, else
            the default), a regression on the same, for a log too short for trees (`online`), or the first cloud model
            (`stale`).
        classifier: Devices train a sample classifier, by which `coda` weighs matched samples; `coarse` is the same
            without.
        undisturbed: Run it without faults first.
        out: The run folder; by default `runs/<timestamp>`. The undisturbed run is in its folder `undisturbed`.
        json: Print the result as JSON on standard output.
    """
    if scenario is None:
        for name in shipped():
            print(f"{name}: {find_scenario(name).teaches}")
        return 0
    wanted = find_scenario(scenario)
    wanted = msgspec.structs.replace(wanted, seed=wanted.seed if seed is None else seed)
    console = Console(stderr=True)
    console.print(f"{wanted.name}: {wanted.teaches}", highlight=False, soft_wrap=True)
    path, seconds = log or wanted.log, round(wanted.seconds)
    disturbed = DemoSettings(
        path,
        devices or wanted.devices,
        seconds,
        wanted.seed,
        scenario=wanted,
        stack=stack,
        base=base,
        classifier=classifier,
    ).checked()
    with run_folder(out, datetime.now()) as folder:
        beside = None
        if undisturbed:
            make_folder(beside := folder / "undisturbed")
            calm = msgspec.structs.replace(wanted, stages=())
            run_in_view("undisturbed", replace(disturbed, scenario=calm), beside, console)
        result = run_in_view(wanted.name, disturbed, folder, console, undisturbed=beside)
    if json:
        print(msgspec.json.encode(result).decode())
    for line in verdict_lines(result.verdict) if result.verdict else result.problems:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    verdict = "[green]it held" if result.ok else "[red]it broke"
    console.print(f"{verdict}[/]; the report: {folder / 'report.html'}", highlight=False, soft_wrap=True)
    return 0 if result.ok else 1
