"""The demo: the whole system as processes on this machine, from the first cloud model to a report.

Both brokers are embedded and live as long as the demo; each command is a child with its log in the run folder.
"""

import re
import shlex
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import msgspec

from monitor import metrics
from monitor.accounting import MALFORMED_ROW, Accounting, accounting
from monitor.arms import ArmResult
from monitor.live import LiveView
from monitor.metrics import name_of
from monitor.report import report
from monitor.scrape import Snapshot, series
from monitor.state import Freshness, State, read_state
from streams.child import CLEAN_CODES, Child
from streams.demo.plan import SERVICES, Brokers, DemoSettings, Log, checked_log, commands, open_log, paced
from streams.demo.stack import open_stack
from streams.demo.watcher import EVERY_S, Watcher
from streams.evaluation.arms import arms_over_time, compare_arms, read_predictions
from streams.faults.ordeal import Ordeal
from streams.faults.page import outage_section
from streams.faults.small_disk import small_disk
from streams.faults.timeline import Course
from streams.faults.verdict import Verdict
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.topics import STATUS
from streams.logs.check import USERS_NEEDED, LogCheck
from streams.logs.page import log_section
from streams.ports import free_ports
from streams.run_folder import environment, write_json
from streams.watch.recording import Recorder
from wire.durable import write_durably
from wire.errors import CodaError

PHASES = ("brokers", "first cloud model", "history", "live stream", "drain", "report")
# Several times what the slowest machine we tried needed, so that a wait that reaches it is stuck.
MODEL_LIMIT_S, REPLAY_LIMIT_S, DRAIN_LIMIT_S, STOP_LIMIT_S = 120.0, 600.0, 60.0, 30.0
POOL_DISK_BYTES = 64 << 20  # several times what a short run's pool needs
CALM_LOOKS = 3  # this many looks without any change, nothing waiting: drained
UNANSWERED_LOOKS = 15  # the same while pushes are unanswered: several times what an answer takes on a busy machine


class DemoResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run; `ok` when there are no `problems`. `freshness` is of the live part."""

    ok: bool
    problems: list[str]
    elapsed_s: float
    accounting: Accounting
    freshness: dict[str, Freshness]
    arms: dict[str, ArmResult]
    log: LogCheck
    exit_codes: dict[str, int | None]
    last_state: State
    verdict: Verdict | None = None


def run_demo(settings: DemoSettings, folder: Path, view: LiveView, undisturbed: Path | None = None) -> DemoResult:
    """Run it all, leave everything in `folder`, and return what came of it; compare it with the run in `undisturbed`.

    Raises `CodaError` when a child dies or something never comes; all children are stopped then, too.
    """
    view.update(State(phase=PHASES[0]), f"reading {settings.log}")
    check, path = checked_log(settings, view.say)
    log = open_log(path)
    if settings.scenario is not None:
        log = paced(log, settings, settings.scenario, folder)
    with ExitStack() as opened:
        stack = opened.enter_context(open_stack(settings.stack, folder, settings.kafka_nodes))
        brokers, ordeal = Brokers(stack.kafka.bootstrap, stack.mqtt.address), None
        if settings.scenario is not None:
            if settings.scenario.fills_a_disk:
                opened.enter_context(small_disk(folder / "pool", POOL_DISK_BYTES))
            ordeal = opened.enter_context(Ordeal(settings.scenario, stack, folder))
            brokers = ordeal.brokers
        names = (*SERVICES, "history", "live")
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        lines = commands(settings, log, brokers, folder, ports)
        write_json(
            folder / "config.json",
            {
                "settings": {**asdict(settings), "scenario": settings.scenario and settings.scenario.name},
                "log": {**asdict(log), "path": str(log.path)},
                "brokers": asdict(brokers),
            }
            | {"commands": {name: shlex.join(("coda", *line)) for name, line in lines.items()}, **environment()},
        )
        children = {name: Child(name, line, folder) for name, line in lines.items()}
        watcher = Watcher(
            urls={name: f"http://127.0.0.1:{port}/metrics" for name, port in ports.items()},
            timeline=opened.enter_context((folder / "timeline.jsonl").open("wb")),
            view=view,
            statuses=opened.enter_context(_recorder(stack.kafka, folder)),
        )
        run, live_since = DemoRun(settings, log, children, watcher, ordeal), Snapshot()
        try:
            run.start_services()
            run.replay_history()
            live_since = watcher.snapshot
            run.replay_live()
            run.drain()
            run.stop()
        except Exception:
            raise
        except BaseException:  # Ctrl-C, SIGTERM
            view.say("ending early: writing a report of what there is")
            run.problems.append("ended early, so that not everything is accounted for")
            finish(run, folder, live_since, stop_all(children), undisturbed=None, check=check)
            raise
        finally:
            codes = stop_all(children)
        return finish(run, folder, live_since, codes, undisturbed=undisturbed, check=check)


def _recorder(kafka: KafkaSettings, folder: Path) -> Recorder:
    ensure_topics(kafka, [STATUS])
    return Recorder(KafkaBus(kafka), folder)


class ReplayTotals(msgspec.Struct):
    """What `coda replay --json` says that matters here."""

    sent: int
    rejected: int


class TunnelTotals(msgspec.Struct):
    """What `coda tunnel --json` says that matters here."""

    pushes: int
    acknowledged: int
    superseded: int
    expired: int


class DemoRun:
    """The phases of one run, each of which returns when it is over."""

    def __init__(
        self,
        settings: DemoSettings,
        log: Log,
        children: Mapping[str, Child],
        watcher: Watcher,
        ordeal: Ordeal | None = None,
    ) -> None:
        self.settings, self.log, self.watcher, self.ordeal = settings, log, watcher, ordeal
        self.problems: list[str] = []
        self._children = children

    def start_services(self) -> None:
        """Start the four services and wait until the first cloud model is out and all of them answer."""
        for name in SERVICES:
            self._children[name].start()
        trainer = self._children["train-cloud"]
        self._wait(
            PHASES[1],
            lambda state: state.cloud_versions > 0 and all(map(self.watcher.ready, SERVICES)),
            lambda _state: percent_in(trainer.last_words()),
            MODEL_LIMIT_S,
            "the first cloud model, or a service that does not answer",
        )

    def replay_history(self) -> None:
        """History as fast as the flow takes it, to fill user histories and the pool."""
        self._replay("history", PHASES[2], self.log.history, REPLAY_LIMIT_S)
        self._wait(
            PHASES[2],
            lambda state: not any(state.lag_events.values()),
            _waiting_for,
            REPLAY_LIMIT_S,
            "history to sink in",
        )

    def replay_live(self) -> None:
        """The live part at its pace, and what breaks in it."""
        if self.ordeal is not None:
            self.ordeal.begin(self._children, self.watcher)
        self._replay("live", PHASES[3], self.log.events - self.log.history, self.settings.seconds + REPLAY_LIMIT_S)

    def drain(self) -> None:
        """Wait until nothing is on its way any more; that it never ends is a problem of the result, not an error."""
        calm: list[State] = []

        def drained(state: State) -> bool:
            if calm and _without_time(state) != _without_time(calm[0]):
                calm.clear()
            calm.append(state)
            # A push to a user without a device is never answered: the tunnel lets it expire when it ends.
            enough = UNANSWERED_LOOKS if state.pushes_outstanding else CALM_LOOKS
            healed = self.ordeal is None or (self.ordeal.over and not self.ordeal.missing)
            return len(calm) > enough and healed and not any(state.lag_events.values())

        try:
            self._wait(PHASES[4], drained, _waiting_for, self._drain_limit_s(), "the system to drain")
        except DemoFailed as error:
            self.problems.append(f"{error}: {_waiting_for(self.watcher.states[-1])}")

    def _drain_limit_s(self) -> float:
        return DRAIN_LIMIT_S + (self.ordeal.scenario.healed_within_s if self.ordeal is not None else 0.0)

    def stop(self) -> None:
        """End the devices and the tunnel, which knows for certain only then what became of every push."""
        for name in ("fleet", "tunnel"):
            self._children[name].stop(STOP_LIMIT_S)
            self.watcher.look(PHASES[4], f"{name} ended")
        totals = self._children["tunnel"].document(TunnelTotals)
        outcomes = {name: getattr(totals, name) for name in ("acknowledged", "superseded", "expired")}
        counted = {series(name_of(metrics.push_outcomes), outcome=name): count for name, count in outcomes.items()}
        self.watcher.ended("tunnel", {series(name_of(metrics.pushes)): totals.pushes, **counted})

    def _replay(self, name: str, phase: str, events: int, limit_s: float) -> None:
        replay, before = self._children[name], self.watcher.states[-1].produced
        replay.start()
        self._wait(
            phase,
            lambda _state: replay.code() is not None,
            lambda state: f"{min(state.produced - before, events) / events:.0%}",
            limit_s,
            f"the {name} to be replayed",
        )
        totals = replay.document(ReplayTotals)
        counted = {series(name_of(metrics.produced)): totals.sent}
        if totals.rejected:
            counted[series(name_of(metrics.rejected), reason=MALFORMED_ROW)] = totals.rejected
        self.watcher.ended(name, counted)

    def _wait(
        self,
        phase: str,
        over: Callable[[State], bool],
        note: Callable[[State], str],
        limit_s: float,
        what: str,
    ) -> None:
        """Look about once a second until the phase is over."""
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            next_s = time.monotonic() + EVERY_S
            state = self.watcher.look(phase, note(self.watcher.states[-1]) if self.watcher.states else "")
            for name, child in self._children.items():
                if self.ordeal is None or not self.ordeal.may_end(name):
                    child.check()
            if self.ordeal is not None:
                self.ordeal.look(state.elapsed_s)
                self.ordeal.check()
            if over(state):
                return
            time.sleep(max(0.0, next_s - time.monotonic()))
        raise DemoFailed(
            f"after {limit_s:.0f} s still waiting for {what}; the logs are in {replay_folder(self._children)}"
        )


class DemoFailed(CodaError):
    """Something that had to come never came."""


def replay_folder(children: Mapping[str, Child]) -> Path:
    """The folder that the children's logs are in."""
    return next(iter(children.values())).log.parent


def stop_all(children: Mapping[str, Child]) -> dict[str, int | None]:
    """Stop what still runs, what feeds others first, and return all exit codes."""
    order = ("live", "history", "fleet", "tunnel", "flow", "train-cloud")
    return {name: children[name].stop(STOP_LIMIT_S) for name in order}


def finish(
    run: DemoRun,
    folder: Path,
    live_since: Snapshot,
    codes: dict[str, int | None],
    *,
    undisturbed: Path | None,
    check: LogCheck,
) -> DemoResult:
    """Everything after the last process ended: accounts, arms, result and report."""
    last = run.watcher.look(PHASES[5], "comparing arms")
    accounts = accounting(last)
    unclean = [f"{name} ended with exit code {code}" for name, code in codes.items() if code not in CLEAN_CODES]
    problems = [*run.problems, *unclean]
    predictions = read_predictions(folder / "fleet" / "predictions.parquet")
    verdict = None
    if run.ordeal is None:
        problems += accounts.discrepancies()
    elif run.ordeal.over:  # counters of processes that were killed do not add up: its history does
        verdict = run.ordeal.verdict(folder, run.watcher.states, predictions, problems, undisturbed)
        accounts = run.ordeal.accounts()
        problems = verdict.broken()
        run.ordeal.write(folder / "history.jsonl")
    arms = compare_arms(predictions, run.settings.seed)
    enough = check.users_with_both >= USERS_NEEDED  # of fewer, figures would only look like a result
    result = DemoResult(
        ok=not problems,
        problems=problems,
        elapsed_s=last.elapsed_s,
        accounting=accounts,
        freshness=read_state(run.watcher.snapshot, live_since, 0, "").freshness,
        arms=arms,
        log=check,
        exit_codes=codes,
        last_state=last,
        verdict=verdict,
    )
    scenario = run.settings.scenario
    page = report(
        title=f"CoDA streaming: {scenario.name if scenario is not None else 'demo'} on {run.settings.log}",
        states=run.watcher.states,
        accounts=accounts,
        problems=problems,
        freshness=result.freshness,
        arms=result.arms if enough else {},
        arms_over_time=arms_over_time(predictions) if enough else None,
        configuration=msgspec.json.decode((folder / "config.json").read_bytes()),
        sections=[*_outage(run, verdict, undisturbed), log_section(check)],
    )
    write_durably(folder / "report.html", page.encode())
    write_json(folder / "result.json", result)
    return result


def _outage(run: DemoRun, verdict: Verdict | None, undisturbed: Path | None) -> list[str]:
    """The report's section on what was broken, before the run in `undisturbed`."""
    if verdict is None or not verdict.faults:
        return []
    mine = Course(run.watcher.states, verdict)
    return [outage_section(mine, None if undisturbed is None else _course(undisturbed))]


def _course(folder: Path) -> Course | None:
    """That of an earlier run, if it was judged."""
    lines = (folder / "timeline.jsonl").read_bytes().splitlines()
    result = msgspec.json.decode((folder / "result.json").read_bytes(), type=DemoResult)
    states = [msgspec.json.decode(line, type=State) for line in lines]
    return Course(states, result.verdict) if result.verdict is not None else None


def percent_in(words: str) -> str:
    """The progress that a log line tells, or nothing.

    >>> percent_in("08:00:01 [info] training the first cloud model: 60 %, about 9 s left")
    '60 %'
    """
    found = re.search(r"\d+ ?%", words)
    return found[0] if found else ""


def _without_time(state: State) -> State:
    return msgspec.structs.replace(state, elapsed_s=0.0, freshness={}, lag_seconds={})


def _waiting_for(state: State) -> str:
    waiting = [f"{group} lags {lag:,}" for group, lag in state.lag_events.items() if lag]
    if state.pushes_outstanding:
        waiting.append(f"{state.pushes_outstanding:,} pushes outstanding")
    return ", ".join(waiting) or "settling"
