"""The table of symptoms: each has its sentence, and a system that is well has none."""

from typing import Any

import pytest

from streams.watch.fold import Fold
from tests.streams.watch.statuses import frontier, status
from wire.status import Frontier, Role

MODEL = {"coda_model_version": {"": 1}}
WELL = {Role.REPLAY: "produced", Role.FLOW: "pooled", Role.TUNNEL: "tunnelled", Role.FLEET: "predicted"}
NOW_S = 60


def said_of(
    left: dict[Role, float] = {},  # noqa: B006 - never changed
    *,
    without: frozenset[Role] = frozenset(),
    until: dict[Role, int] = {},  # noqa: B006
    ended: frozenset[Role] = frozenset(),
    **extra: Any,
) -> str:
    """What is said, with what to do, when these roles lag by so many seconds, or fell silent or ended at a second."""
    fold = Fold()
    for second in range(40, NOW_S + 1):
        for role, stage in WELL.items():
            last = until.get(role, NOW_S)
            if role in without or second > last:
                continue
            values = MODEL | {"process_cpu_seconds_total": {"": second * extra.get("cores", 0.5)}}
            said = status(
                role,
                "x",
                at_s=second,
                values=values if extra.get("model", True) else {},
                frontiers=(_frontier(stage, second, left.get(role, 0)),),
                ended=role in ended and second == last,
            )
            fold.take(said, said.said_ms)
    picture = fold.picture(NOW_S * 1000)
    assert bool(picture.cause) == bool(picture.remedy)
    return f"{picture.cause}: {picture.remedy}" if picture.cause else ""


def _frontier(stage: str, second: int, lag_s: float) -> Frontier:
    return frontier(stage, int(second * 10 - 10 * lag_s), second * 10, second - lag_s)


def test_nothing_is_said_where_all_is_well() -> None:
    assert said_of() == ""


@pytest.mark.parametrize(
    ("system", "sentence"),
    [
        ({"without": frozenset(WELL)}, "no process of ours has said anything"),
        ({"until": dict.fromkeys(WELL, 48)}, "all 4 processes are silent since 12 s"),
        ({"until": {Role.FLOW: 48}}, "flow/x: silent since 12 s, so killed"),
        (
            {"until": {Role.FLOW: 48}, "ended": {Role.FLOW}, "left": {Role.FLOW: 30}},
            "300 left to do: start `coda flow`",
        ),
        ({"model": False}, "`coda train-cloud --initial-log LOG` makes the first"),
        ({"left": {Role.TUNNEL: 20}}, "tunnelled is BEHIND, 20 s behind what it is given"),
        ({"left": {Role.TUNNEL: 20}, "cores": 0.97}, "tunnel/x fills its core (0.97)"),
        ({"left": {Role.FLOW: 20}, "cores": 0.05}, "hardly computes (0.05 cores): it waits for what comes after"),
        ({"left": {Role.TUNNEL: 20}, "cores": 0.05}, "hardly computes (0.05 cores): it waits for devices to answer"),
        (
            {"left": {Role.FLOW: 30, Role.FLEET: 31}},
            "pooled (30 s) and predicted (31 s) lag alike: the fault lies where it begins, at pooled",
        ),
        ({"without": frozenset({Role.TUNNEL, Role.FLEET})}, "no tunnel is there to go on with what the flow does"),
        ({"without": frozenset({Role.FLOW, Role.TUNNEL, Role.FLEET})}, "no flow is there"),
    ],
)
def test_each_symptom_has_its_sentence(system: dict[str, Any], sentence: str) -> None:
    assert sentence in said_of(**system)


def test_of_a_stage_that_has_done_nothing_yet_no_lag_is_told() -> None:
    fold = Fold()
    for second in range(40, NOW_S + 1):
        at = (frontier("pooled", 0, 10 * second, 0),)
        fold.take(status(at_s=second, values=MODEL, frontiers=at), 1000 * second)
    assert fold.picture(NOW_S * 1000).cause == "pooled is STALLED"


def test_batches_that_nobody_answers_point_to_the_broker_or_the_devices() -> None:
    fold = Fold()
    for second in range(50, 61):
        values = MODEL | {"coda_pushes_total": {"": second}, "coda_pushes_outstanding": {"": second}}
        said = status(Role.TUNNEL, "x", at_s=second, values=values)
        fold.take(said, said.said_ms)
    assert (
        fold.picture(60_000).cause
        == "batches go out and no device answers, 60 are open: the MQTT broker or the 0 devices"
    )


@pytest.mark.parametrize(
    ("reason", "refused", "said"), [("window", 60, True), ("window", 40, False), ("duplicate", 60, False)]
)
def test_more_events_refused_than_pooled_is_told_where_all_else_is_well(reason: str, refused: int, said: bool) -> None:
    fold = Fold()
    for second in range(40, NOW_S + 1):
        counts = {"coda_samples_pooled_total": {"": 50 * second}}
        counts["coda_events_rejected_total"] = {"reason=late": 5, f"reason={reason}": refused * second}
        at = (frontier("pooled", 100 * second, 100 * second, second),)
        fold.take(status(at_s=second, values=MODEL | counts, frontiers=at), 1000 * second)
    cause = fold.picture(NOW_S * 1000).cause
    assert ("more events are refused than pooled, most so far as window" in cause) == said


def test_two_processes_of_one_name_are_told_apart_from_a_restart() -> None:
    fold = Fold()
    for second in range(40, 61):
        for boot in (1, 2) if second >= 50 else (1,):
            said = status(at_s=second, boot=boot, values=MODEL)
            fold.take(said, said.said_ms)
    picture = fold.picture(60_000)
    assert picture.cause == "two processes say that they are flow/0" and picture.remedy.startswith("end one")
    restarted = Fold()
    for second in range(40, 61):
        said = status(at_s=second, boot=1 if second < 50 else 2, values=MODEL, ended=second == 49)
        restarted.take(said, said.said_ms)
        assert "two processes" not in restarted.picture(second * 1000).cause


def test_a_process_that_was_started_anew_under_another_name_is_not_mourned() -> None:
    fold = Fold()
    for second in range(40, 61):
        said = status(Role.TRAINER, "old" if second < 48 else "new", at_s=second, values=MODEL)
        fold.take(said, said.said_ms)
    assert fold.picture(60_000).cause == ""


@pytest.mark.parametrize("since_s", [48, 20])
def test_of_two_flows_the_one_that_fell_silent_as_their_stage_stood_still_is_named(since_s: int) -> None:
    """One that is silent for much longer is somebody else's past, and what is left is the other one's own fault."""
    fold = Fold()
    for second in range(20, NOW_S + 1):
        at = (frontier("pooled", min(second, 47), second, min(second, 47)),)
        for name in ("0", "1") if second < since_s else ("1",):
            said = status(name=name, at_s=second, values=MODEL, frontiers=at)
            fold.take(said, said.said_ms)
        if second == 20 == since_s:
            fold.take(status(name="0", at_s=second, values=MODEL, frontiers=at), 1000 * second)
    cause = fold.picture(NOW_S * 1000).cause
    assert cause.startswith("flow/0: silent since 13 s" if since_s == 48 else "pooled is STALLED, ")


def test_a_canary_that_does_not_come_back_speaks_where_no_stage_is_behind() -> None:
    fold = Fold()
    for second in range(40, NOW_S + 1):
        sent = frontier("canary", 40, second, 40, partition=-1)
        fold.take(status(Role.CANARY, "c", at_s=second, frontiers=(sent,)), second * 1000)
    assert fold.picture(NOW_S * 1000).cause.startswith("no canary came back for 20 s, and no stage is behind")


@pytest.mark.parametrize(("connected", "said"), [(0.0, "no device is connected"), (1.0, "")])
def test_a_fleet_that_went_offline_is_no_stage_s_fault(connected: float, said: str) -> None:
    fold = Fold()
    answered = MODEL | {"coda_push_outcomes_total": {"outcome=acknowledged": 5.0}}
    for second in range(40, NOW_S + 1):
        for role, stage in WELL.items():
            values = answered | {"coda_devices_connected": {"": connected}} if role is Role.FLEET else answered
            fold.take(
                status(role, "x", at_s=second, values=values, frontiers=(_frontier(stage, second, 0),)), second * 1000
            )
    assert fold.picture(NOW_S * 1000).cause.startswith(said)
