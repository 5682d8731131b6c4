"""The demo: the whole system as processes on this machine, from the first cloud model to a report.

Both brokers are embedded and live as long as the demo; each command is a child with its log in the run folder.
"""

import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import msgspec

from monitor.accounting import accounting
from monitor.histogram import Histogram
from monitor.state import State, freshness_since
from streams.base.choice import meaning, odd_base
from streams.base.names import LOGGED
from streams.base.scored import Scoring, log_with_base
from streams.child import CLEAN_CODES, Child
from streams.demo.plan import (
    INITIAL_SHARE,
    SERVICES,
    Brokers,
    DemoSettings,
    Log,
    checked_log,
    commands,
    open_log,
    paced,
    played,
)
from streams.demo.result import DemoResult
from streams.demo.stack import open_stack
from streams.demo.view import LiveView
from streams.demo.watcher import EVERY_S, Watcher
from streams.evaluation.arms import compare_arms, read_predictions
from streams.evaluation.lineup import called
from streams.faults.ordeal import Ordeal
from streams.faults.small_disk import small_disk
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.topics import STATUS
from streams.logs.check import LogCheck
from streams.logs.event_log import load_log
from streams.report.folder import CONFIG, RESULT, TIMELINE
from streams.report.page import write_report
from streams.run_folder import environment, write_json
from streams.watch.reader import StatusReader
from streams.watch.recording import Recorder
from wire.clock import SystemClock
from wire.errors import CodaError

PHASES = ("brokers", "first cloud model", "history", "live stream", "drain", "report")
# Several times what the slowest machine we tried needed, so that a wait that reaches it is stuck.
MODEL_LIMIT_S, REPLAY_LIMIT_S, DRAIN_LIMIT_S, STOP_LIMIT_S = 120.0, 600.0, 60.0, 30.0
POOL_DISK_BYTES = 64 << 20  # several times what a short run's pool needs
CALM_LOOKS = 3  # this many looks without any change, nothing waiting: drained
UNANSWERED_LOOKS = 15  # the same while pushes are unanswered: several times what an answer takes on a busy machine


def run_demo(settings: DemoSettings, folder: Path, view: LiveView, undisturbed: Path | None = None) -> DemoResult:
    """Run it all, leave everything in `folder`, and return what came of it; compare it with the run in `undisturbed`.

    Raises `CodaError` when a child dies or something never comes; all children are stopped then, too.
    """
    view.update(State(phase=PHASES[0]), f"reading {settings.log}")
    check, path = checked_log(settings, view.say)
    if settings.scenario is not None:
        path = played(path, settings, settings.scenario, folder)
    base, path = based(path, settings, folder, view)
    settings = replace(settings, base=base)
    log = open_log(path)
    if settings.scenario is not None:
        log = paced(log, settings.seconds, folder)
    with ExitStack() as opened:
        stack = opened.enter_context(open_stack(settings.stack, folder, settings.kafka_nodes))
        brokers, ordeal = Brokers(stack.kafka.bootstrap, stack.mqtt.address), None
        if settings.scenario is not None:
            if settings.scenario.fills_a_disk:
                opened.enter_context(small_disk(folder / "pool", POOL_DISK_BYTES))
            ordeal = opened.enter_context(Ordeal(settings.scenario, stack, folder))
            brokers = ordeal.brokers
        lines = commands(settings, log, brokers, folder)
        write_json(
            folder / CONFIG,
            {
                "settings": {**asdict(settings), "scenario": settings.scenario and settings.scenario.name},
                "base": base,
                "log": {**asdict(log), "path": str(log.path)},
                "brokers": asdict(brokers),
            }
            | {"commands": {name: shlex.join(("coda", *line)) for name, line in lines.items()}, **environment()},
        )
        children = {name: Child(name, line, folder) for name, line in lines.items()}
        timeline = opened.enter_context((folder / TIMELINE).open("wb", buffering=0))
        watcher = Watcher(reader=opened.enter_context(_statuses(stack.kafka, folder)), timeline=timeline, view=view)
        run = DemoRun(settings, log, children, watcher, ordeal)
        try:
            run.start_services()
            run.replay_history()
            run.live_since = watcher.passed
            run.replay_live()
            run.drain()
            run.stop()
        except Exception:
            raise
        except BaseException:  # Ctrl-C, SIGTERM
            view.say("ending early: writing a report of what there is")
            run.problems.append("ended early, so that not everything is accounted for")
            finish(run, folder, stop_all(children), undisturbed=None, check=check, base=base)
            raise
        finally:
            codes = stop_all(children)
        return finish(run, folder, codes, undisturbed=undisturbed, check=check, base=base)


def based(path: Path, settings: DemoSettings, folder: Path, view: LiveView) -> tuple[str, Path]:
    """What devices add to, and the log that says it, in the cache if it is all of a log; raises `InputError`."""

    def show(what: str, done: int, total: int) -> None:
        view.update(State(phase=PHASES[0]), f"{what} {done / total:.0%}")

    scoring = Scoring(initial_share=INITIAL_SHARE, seed=settings.seed)
    into = folder if path.parent == folder else None
    base, path = log_with_base(path, settings.base, scoring, show=show, say=view.say, into=into)
    view.say(f"personal models add to {meaning(base, settings.base)} (--base {base})")
    for line in odd_base(load_log(path)) if base == LOGGED else ():
        view.say(line)
    return base, path


@contextmanager
def _statuses(kafka: KafkaSettings, folder: Path) -> Iterator[StatusReader]:
    """What all processes say, read as it comes and recorded in the run's folder."""
    ensure_topics(kafka, [STATUS])
    with Recorder(folder) as recorder, StatusReader(KafkaBus(kafka), SystemClock(), recorder) as reader:
        yield reader


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
        self.live_since: Mapping[str, Histogram] = {}
        self._children = children

    def start_services(self) -> None:
        """Start the four services and wait until the first cloud model is out and all of them answer."""
        for name in SERVICES:
            self._children[name].start()
        trainer = self._children["train-cloud"]
        self._wait(
            PHASES[1],
            lambda state: state.cloud_versions > 0 and all(map(self.watcher.heard, SERVICES.values())),
            lambda _state: percent_in(trainer.last_words()),
            MODEL_LIMIT_S,
            "the first cloud model, or a service that does not answer",
        )

    def replay_history(self) -> None:
        """History as fast as the flow takes it, to fill user histories and the pool."""
        self._replay("history", PHASES[2], self.log.history, REPLAY_LIMIT_S)
        self._wait(
            PHASES[2],
            lambda state: not any(state.behind.values()),
            _waiting_for,
            REPLAY_LIMIT_S,
            "history to sink in",
        )

    def replay_live(self) -> None:
        """The live part at its pace, and what breaks in it."""
        if self.ordeal is not None:
            self.ordeal.begin(self._children, self.watcher)
        canary = self._children["canary"]
        canary.start()
        self._replay("live", PHASES[3], self.log.events - self.log.history, self.settings.seconds + REPLAY_LIMIT_S)
        canary.stop(STOP_LIMIT_S)  # what asks for ever is never drained

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
            return len(calm) > enough and healed and not any(state.behind.values())

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
            self.watcher.look_again(PHASES[4], f"{name} ended")

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
        self.watcher.look_again(phase)

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
        logs = next(iter(self._children.values())).log.parent
        raise DemoFailed(f"after {limit_s:.0f} s still waiting for {what}; the logs are in {logs}")


class DemoFailed(CodaError):
    """Something that had to come never came."""


def stop_all(children: Mapping[str, Child]) -> dict[str, int | None]:
    """Stop what still runs, what feeds others first, and return all exit codes."""
    order = ("canary", "live", "history", "fleet", "tunnel", "flow", "train-cloud")
    return {name: children[name].stop(STOP_LIMIT_S) for name in order if name in children}


def finish(
    run: DemoRun,
    folder: Path,
    codes: dict[str, int | None],
    *,
    undisturbed: Path | None,
    check: LogCheck,
    base: str,
) -> DemoResult:
    """Everything after the last process ended: accounts, arms, result and report."""
    last = run.watcher.look_again(PHASES[5], "comparing arms")
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
        verdict = msgspec.structs.replace(verdict, arms={whose: called(base, of) for whose, of in verdict.arms.items()})
        problems = verdict.broken()
        run.ordeal.write(folder / "history.jsonl")
    result = DemoResult(
        ok=not problems,
        problems=problems,
        elapsed_s=last.elapsed_s,
        accounting=accounts,
        freshness=freshness_since(run.live_since, run.watcher.passed),
        base=base,
        arms=called(base, compare_arms(predictions, run.settings.seed)),
        log=check,
        exit_codes=codes,
        last_state=last,
        verdict=verdict,
    )
    write_json(folder / RESULT, result)
    write_report(folder, undisturbed)
    return result


def percent_in(words: str) -> str:
    """The progress that a log line tells, or nothing.

    >>> percent_in("08:00:01 [info] training the first cloud model: 60 %, about 9 s left")
    '60 %'
    """
    found = re.search(r"\d+ ?%", words)
    return found[0] if found else ""


def _without_time(state: State) -> State:
    return msgspec.structs.replace(state, elapsed_s=0.0, freshness={}, own_lag_s={})


def _waiting_for(state: State) -> str:
    waiting = [f"{stage} is {left:,} behind" for stage, left in state.behind.items() if left]
    if state.pushes_outstanding:
        waiting.append(f"{state.pushes_outstanding:,} pushes outstanding")
    return ", ".join(waiting) or "settling"
