"""What is most likely wrong, from a table of symptoms: the first that fits speaks."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from monitor.metrics import Metrics
from monitor.stages import STAGES
from monitor.words import Word
from streams.times import span
from streams.watch.picture import Picture, ProcessView, StageView
from wire.reason import Reason
from wire.status import Role

_BUSY_CORES = 0.9  # of the one core that a process computes on
_IDLE_CORES = 0.3
_MANY_PER_S = 1.0  # events that are refused: one now and then is nobody's fault here
_CLOSE = 0.8  # lags are alike if the smaller is at least this share of the larger
_SLACK_S = 10.0  # a window of looks: a frontier is that much younger than the last word of who held it back
_ILL = frozenset({Word.BEHIND, Word.STALLED})
# What goes on where it was when it is started again; a replay that ended is through.
_COMMANDS = {
    Role.SCORER: "score",
    Role.FLOW: "flow",
    Role.TRAINER: "train-cloud",
    Role.TUNNEL: "tunnel",
    Role.FLEET: "fleet",
}
# Who has nothing of ours after it.
_WAITS_FOR = {Role.TUNNEL: "devices to answer, or for their broker", Role.FLEET: "its broker, or for a core"}


class Cause(NamedTuple):
    """What is most likely wrong, and what to do about it."""

    said: str
    remedy: str


def likely_cause(picture: Picture) -> Cause | None:
    """The first symptom's; None where nothing seems wrong."""
    return next((cause for symptom in SYMPTOMS if (cause := symptom(picture))), None)


def _nobody(picture: Picture) -> Cause | None:
    if picture.processes:
        return None
    return Cause("no process of ours has said anything to this Kafka within a day", "start one: docs/operate.md")


def _all_silent(picture: Picture) -> Cause | None:
    silent = [process for process in picture.processes if process.silent_s and not process.ended]
    if len(silent) < 2 or any(process.up for process in picture.processes):
        return None
    return Cause(
        f"all {len(silent)} processes are silent since {_since(silent)}: Kafka, the machine, or all were killed",
        "see whether Kafka answers (`coda doctor`), and start what was killed: each goes on where it was",
    )


def _rivals(picture: Picture) -> Cause | None:
    names = [process.key for process in picture.processes if process.has_rival]
    if not names:
        return None
    return Cause(f"two processes say that they are {names[0]}", "end one, or give it another name")


def _silent(picture: Picture) -> Cause | None:
    silent = [
        p
        for p in picture.processes
        if p.silent_s and not p.ended and (_is_missed(p, picture) or not _replaced(p, picture))
    ]
    if not silent:
        return None
    names = " and ".join(process.key for process in silent)
    return Cause(
        f"{names}: silent since {_since(silent)}, so killed, frozen, or cut off from Kafka",
        "see why in its log, and start it again: it goes on where it was",
    )


def _ended(picture: Picture) -> Cause | None:
    for process in picture.processes:
        left = sum(stage.behind for stage in picture.stages if _does(process, stage))
        if process.ended and process.role in _COMMANDS and left and not _replaced(process, picture):
            return Cause(
                f"{process.key} ended in order with {left:,} left to do",
                f"start `coda {_COMMANDS[process.role]}` again",
            )
    return None


def _no_model(picture: Picture) -> Cause | None:
    waits = any(process.up and process.role in {Role.FLOW, Role.FLEET} for process in picture.processes)
    if not waits or picture.total(Metrics.model_version):
        return None
    return Cause("there is no cloud model yet", "`coda train-cloud --initial-log LOG` makes the first")


def _offline(picture: Picture) -> Cause | None:
    up = {process.role for process in picture.processes if process.up}
    were_there = picture.total(Metrics.push_outcomes)
    if not {Role.TUNNEL, Role.FLEET} <= up or not were_there or picture.total(Metrics.devices_connected):
        return None
    return Cause(
        "no device is connected, though the fleet is there: the MQTT broker, or the network before it",
        "see whether the broker answers (`coda doctor`): devices come back by themselves, and bring what waited",
    )


def _alike(picture: Picture) -> Cause | None:
    ill = [stage for stage in _ill(picture) if stage.global_s]
    lags = [stage.global_s or 0.0 for stage in ill]
    if len(ill) < 2 or min(lags) < _CLOSE * max(lags):
        return None
    said = " and ".join(f"{stage.stage} ({span(stage.global_s)})" for stage in ill)
    whose, remedy = _whose(ill[0], picture)
    return Cause(f"{said} lag alike: the fault lies where it begins, at {ill[0].stage}{whose}", remedy)


def _one(picture: Picture) -> Cause | None:
    ill = _ill(picture)
    if not ill:
        return None
    worst = max(ill, key=lambda stage: (stage.word is Word.STALLED, stage.local_s or 0.0))
    whose, remedy = _whose(worst, picture)
    lag = "" if worst.local_s is None else f", {span(worst.local_s)} behind what it is given"
    return Cause(f"{worst.stage} is {worst.word}{lag}{whose}", remedy)


def _unanswered(picture: Picture) -> Cause | None:
    pushed = picture.growth(Metrics.pushes)
    answered = picture.growth(Metrics.push_outcomes)
    open_ = picture.total(Metrics.pushes_outstanding)
    if not pushed or answered or not open_:
        return None
    devices = picture.total(Metrics.devices_connected)
    return Cause(
        f"batches go out and no device answers, {open_:,.0f} are open: the MQTT broker or the {devices:,.0f} devices",
        "see the broker's log, and whether the fleet is up",
    )


def _canary(picture: Picture) -> Cause | None:
    stage = picture.stage("canary")
    if stage is None or stage.word not in _ILL:
        return None
    return Cause(
        f"no canary came back for {span(stage.age_s)}, and no stage is behind: the MQTT broker, or the way to Kafka",
        "see whether both answer (`coda doctor`)",
    )


def _refused(picture: Picture) -> Cause | None:
    refused, reasons = picture.growth(Metrics.rejected), picture.by(Metrics.rejected, "reason")
    most = max(reasons, key=lambda reason: reasons[reason], default=Reason.DUPLICATE)
    if most == Reason.DUPLICATE or refused < max(_MANY_PER_S, picture.growth(Metrics.pooled)):  # replayed twice, say
        return None
    return Cause(f"more events are refused than pooled, most so far as {most}", "`coda dlq` shows which, and why")


def _missing(picture: Picture) -> Cause | None:
    up = {process.role for process in picture.processes if process.up}
    for role, feeds in ((Role.FLOW, Role.REPLAY), (Role.TUNNEL, Role.FLOW), (Role.FLEET, Role.TUNNEL)):
        if feeds in up and role not in up:
            return Cause(f"no {role} is there to go on with what the {feeds} does", f"start `coda {_COMMANDS[role]}`")
    return None


SYMPTOMS: Sequence[Callable[[Picture], Cause | None]] = (
    _nobody,
    _all_silent,
    _rivals,
    _silent,
    _ended,
    _no_model,
    _offline,
    _alike,
    _one,
    _unanswered,
    _canary,
    _refused,
    _missing,
)


def _ill(picture: Picture) -> list[StageView]:
    """Stages that are; a canary that does not come back is no stage's fault but of one of these."""
    return [stage for stage in picture.stages if stage.word in _ILL and stage.stage != "canary"]


def _whose(stage: StageView, picture: Picture) -> tuple[str, str]:
    """What its process is doing meanwhile, and what helps."""
    busiest = max(
        (p for p in picture.processes if p.up and _does(p, stage)), key=lambda p: p.cores or 0.0, default=None
    )
    if busiest is None or busiest.cores is None:
        return "", "see what its process says in its log"
    if busiest.cores >= _BUSY_CORES:
        return f"; {busiest.key} fills its core ({busiest.cores:.2f})", "more processes, or less for each"
    if busiest.cores <= _IDLE_CORES:
        return (
            f"; {busiest.key} has work and hardly computes ({busiest.cores:.2f} cores): it waits for "
            + _WAITS_FOR.get(busiest.role, "what comes after"),
            "see what comes after it, and what it says in its log",
        )
    return f"; {busiest.key} computes with {busiest.cores:.2f} cores", "wait, or free cores for it"


def _does(process: ProcessView, stage: StageView) -> bool:
    return stage.stage in STAGES and STAGES[stage.stage].role == process.role


def _is_missed(process: ProcessView, picture: Picture) -> bool:
    """Whether a stage that it shares with others stands about where it was when this one fell silent."""
    shared = [stage for stage in _ill(picture) if _does(process, stage) and stage.age_s is not None]
    return any(process.silent_s <= (stage.age_s or 0.0) + _SLACK_S for stage in shared)


def _replaced(process: ProcessView, picture: Picture) -> bool:
    """Whether another one of its role is there, begun since or beside it."""
    return any(other.up and other.role is process.role for other in picture.processes)


def _since(silent: Sequence[ProcessView]) -> str:
    return span(max(process.silent_s for process in silent))
