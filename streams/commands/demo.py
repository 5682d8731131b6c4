"""`coda demo`: everything on this machine."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console

from streams.base.names import Base
from streams.child import ChildFailed
from streams.demo.demo import PHASES, run_demo
from streams.demo.plan import DemoSettings
from streams.demo.result import DemoResult
from streams.demo.view import LiveView
from streams.faults.page import verdict_lines
from streams.faults.scenario import Scenario, dropping, find_scenario, length_s, peopled
from streams.faults.units import Share
from streams.logs.check import USERS_NEEDED, too_few
from streams.logs.options import AS_FOUND, LogOptions
from streams.run_folder import run_folder
from streams.settings import AtLeast0, Devices, SomeTime
from streams.times import Duration
from wire.errors import InputError


def command(
    *,
    log: str = "groceries",
    devices: Devices = None,
    live: SomeTime = Duration.parse("110s"),
    seed: int = 0,
    options: LogOptions = AS_FOUND,
    negatives: AtLeast0 = 0,
    drop: str | None = None,
    for_: Annotated[SomeTime, Parameter(name="--for")] = Duration.parse("60s"),
    chaos: str | None = None,
    population: str | None = None,
    base: Base | None = None,
    classifier: bool = False,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Run the whole system on this machine, on a real log, with a live view; leave a report and check the accounts.

    Brokers are embedded. The first 60 % of the log train the first cloud model and fill the pool, the rest is replayed
    live. Exits 0 only when every event and every push is accounted for.

    Example

    ```
    coda demo --log ml-100k --devices 300
    coda demo --drop 30% --for 60s
    ```

    Args:
        log: A log by name (`coda data list`) or by path.
        devices: How many devices to simulate; by default `all`, one per user of the log.
        live: How long the live part takes, in whole seconds.
        seed: Of everything that is drawn at random.
        negatives: Sampled negatives per positive, for a log that has positives only.
        drop: Cut this share of all devices off, such as 30%, in the middle of the live part; see docs/scenarios.md.
        for_: How long they are away.
        chaos: Break what this scenario says, on this log: a shipped one by its name, or a TOML file.
        population: Devices are there, have a link, and train when these people would, two of whose days pass in the
            live part: a known population by its name, or a TOML file.
        base: What personal models add to: what your own model expected of each event (`logged`, the default where the
            log says it), boosted trees on streamed features, trained on the history of what is played (`boosted`, else
            the default), a regression on the same, for a log too short for trees (`online`), or the first cloud model
            (`stale`).
        classifier: Devices train a sample classifier, by which `coda` weighs matched samples; `coarse` is the same
            without.
        out: The run folder; by default `runs/<timestamp>`.
        json: Print the result as JSON on standard output.
    """
    seconds = max(1, round(live.s))
    scenario = _scenario(drop, for_, chaos, population, seconds=seconds, seed=seed)
    settings = DemoSettings(
        log,
        devices,
        seconds,
        seed,
        options,
        negatives=negatives,
        scenario=scenario,
        base=base,
        classifier=classifier,
    ).checked()
    console = Console(stderr=True)
    with run_folder(out, datetime.now()) as folder:
        result = run_in_view(log, settings, folder, console)
    if json:
        print(msgspec.json.encode(result).decode())
    for line in closing_lines(result, folder):
        console.print(line, highlight=False, soft_wrap=True)
    return 0 if result.ok else 1


def run_in_view(
    title: str, settings: DemoSettings, folder: Path, console: Console, undisturbed: Path | None = None
) -> DemoResult:
    """Run it with a live view; what a child that died had said, or where the rest of a run lies, goes to the user."""
    try:
        with LiveView(f"CoDA streaming · {title} · seed {settings.seed}", PHASES, console) as view:
            return run_demo(settings, folder, view, undisturbed)
    except ChildFailed as failure:
        print(failure.tail, file=sys.stderr)
        raise
    except BaseException:
        if any(folder.iterdir()):
            report = folder / "report.html"
            there_is = f"open {report}" if report.exists() else f"what there is lies in {folder}"
            console.print(f"ended early; {there_is}", highlight=False, soft_wrap=True)
        raise


def _scenario(
    drop: str | None, for_: Duration, chaos: str | None, population: str | None, *, seconds: int, seed: int
) -> Scenario | None:
    """What to break, if anything; raises `InputError`."""
    if sum(each is not None for each in (drop, chaos, population)) > 1:
        raise InputError("--drop, --chaos and --population each say what becomes of devices: give one of them")
    if population is not None:
        return peopled(population, seconds, seed)
    if drop is not None:
        return dropping(Share.parse(drop), for_, seconds, seed)
    scenario = find_scenario(chaos) if chaos is not None else None
    if scenario is not None and (lasts_s := length_s(scenario)) > seconds:
        raise InputError(f"the faults of {chaos} last until {lasts_s:g} s: give at least --live {lasts_s:.0f}s")
    return scenario


def closing_lines(result: DemoResult, folder: Path) -> list[str]:
    """What a person should know when it is over."""
    accounts = result.accounting
    lines = [
        f"{accounts.produced:,} events = {accounts.pooled:,} pooled + {accounts.waiting:,} waiting for more users of "
        f"their item + {sum(accounts.rejected.values()):,} rejected",
        f"{accounts.pushes:,} pushes = " + " + ".join(f"{n:,} {name}" for name, n in accounts.push_outcomes.items()),
    ]
    if result.log.users_with_both < USERS_NEEDED:
        lines.append(too_few(result.log.users_with_both))
    elif result.arms:
        lines.append("GAUC " + ", ".join(f"{name} {arm.gauc:.4f}" for name, arm in result.arms.items()))
    if result.verdict is not None:
        lines += verdict_lines(result.verdict)
    lines += [f"[red]{problem}[/]" for problem in result.problems]
    verdict = "[green]everything adds up" if result.ok else "[red]this run is not in order"
    return [*lines, f"{verdict}[/] after {result.elapsed_s:.0f} s; the report: {folder / 'report.html'}"]
