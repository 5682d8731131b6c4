"""The verdict on histories made up for it: what is wrong is named."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import polars as pl

from monitor.state import State
from streams.faults.conductor import Done
from streams.faults.convergence import Pooled
from streams.faults.effect import Effect
from streams.faults.history import History
from streams.faults.recovery import Look
from streams.faults.stability import Moment, Spread
from streams.faults.verdict import Evidence, Verdict, judge
from wire.identity import ModelId

DROP = Done(name="down", began_s=10, ended_s=20, stops=True, effect=Effect(there=3, cut=3))
STATES = [State(elapsed_s=float(i), phase="live stream", produced=3) for i in range(40)]
ALL, FEW = frozenset({"ann", "bob", "cy"}), frozenset({"ann"})
LOOKS = [Look(float(i), FEW if 10 <= i < 25 else ALL) for i in range(40)]
FIRST, SECOND = ModelId("a" * 16, 1, "1" * 16), ModelId("a" * 16, 2, "2" * 16)


def pool(*keys: int, digest: int = 7) -> Pooled:
    """A pool of these samples, all of user 5."""
    samples = np.array(keys, np.uint64)
    return Pooled(samples, np.full_like(samples, 5), np.full_like(samples, digest))


def good() -> History:
    history = History(attempted={1: 100, 2: 12_000, 3: 100}, acknowledged={1: 200, 2: 21_000, 3: 200})
    history.delivered.update([1, 2, 2, 3])
    history.pooled = {1: 300, 2: 21_100}
    history.refused.add(3)
    history.batches = {("ann", 1): 100, ("ann", 2): 12_000}
    history.made_by = {("ann", 1): FIRST, ("ann", 2): SECOND}
    history.answers = {("ann", 2): 22_000}
    history.answered_as = {("ann", 2): SECOND}
    history.accepted = {("ann", 2): {22_000}}
    return history


def evidence(history: History) -> Evidence:
    return Evidence(
        history=history,
        looks=LOOKS,
        states=STATES,
        faults=[DROP],
        predictions=pl.DataFrame({"event_id": ["a", "b"], "user_id": ["ann", "ann"]}),
        pooled=pool(1, 2),
        logged=pool(1, 2),
        published={FIRST, SECOND},
        live_s=11,
        live_ms=11_000,
        healed_within_s=10,
    )


def verdict(history: History, **changed: Any) -> Verdict:
    return judge(replace(evidence(history), **changed), {})


def test_a_run_in_which_all_held() -> None:
    result = verdict(good())
    assert result.ok, result.broken()
    assert result.ages == [Moment(11.0, 9.1)], "done at 12 s, pooled at 21.1 s"
    assert result.reachable[12:15] == [(12, 1), (13, 1), (14, 3)], "seconds of live stream, which began at 11 s"
    assert result.stability.uploaded == Spread(1, 9.0, 9.0), "two of three are history, which is replayed at once"
    assert result.events.recovered == result.batches.recovered == 1
    assert (result.back_s, result.recovered_s, result.devices_left, result.devices_before, result.redelivered) == (
        5,
        5,
        1,
        3,
        1,
    )


def test_devices_that_are_back_may_still_have_much_to_catch_up_on() -> None:
    behind = [behind_by(state, 900 if 20 <= state.elapsed_s < 31 else 0) for state in STATES]
    result = verdict(good(), states=behind)
    assert (result.back_s, result.recovered_s) == (5, 11)


def test_a_lost_event_is_named() -> None:
    assert verdict(good(), pooled=pool(1)).broken() == [
        "no-event-lost: 1 lost",
        "convergence: 1 samples are not those that the log alone makes",
    ]


def test_an_event_that_counts_twice_is_named() -> None:
    history = good()
    history.refused.add(1)
    assert verdict(history).broken() == ["no-duplicate-effect: 1 counted twice"]


def test_a_history_that_saw_nothing_is_no_success() -> None:
    assert not verdict(History()).ok


def test_a_device_without_its_newest_batch_is_named() -> None:
    history = good()
    history.batches["bob", 7] = 100
    assert verdict(history).broken() == ["newest-batch-wins: 1 devices without it"]


def test_a_device_needs_no_batch_of_a_clock_that_was_ahead_once_another_came_after_it() -> None:
    history = good()
    history.batches = {("ann", 1): 100, ("ann", 7_200_000): 200, ("ann", 2): 12_000}
    history.made_by = {("ann", 1): FIRST, ("ann", 7_200_000): FIRST, ("ann", 2): SECOND}
    assert verdict(history).ok
    history.answers = {}
    assert verdict(history).broken() == ["newest-batch-wins: 1 devices without it"]


def test_a_fault_that_did_nothing_fails_the_run() -> None:
    idle = Done(name="hold", began_s=10, ended_s=20, stops=True, effect=Effect())
    assert verdict(good(), faults=[DROP, idle]).broken() == [
        "every-fault-acted: injected 2, took effect 1: hold did nothing"
    ]


def test_a_part_of_a_fault_that_found_nobody_is_no_failure() -> None:
    nobody = Done(name="down", began_s=12, ended_s=20, stops=True, effect=Effect())
    assert verdict(good(), faults=[DROP, nobody]).ok


def test_a_batch_that_was_taken_twice_is_named_and_an_answer_that_came_twice_is_not() -> None:
    history = good()
    history.accepted["ann", 2].add(22_000)
    assert verdict(history).ok
    history.accepted["ann", 2].add(23_000)
    assert verdict(history).broken() == ["accepted-once: 1 taken twice"]


def test_a_system_that_never_heals_is_named() -> None:
    assert verdict(good(), looks=LOOKS[:22]).broken() == ["healed-in-time: not within 10 s"]


def test_users_who_come_for_the_first_time_do_not_stand_in_for_those_that_are_away() -> None:
    newcomers = [Look(look.at_s, FEW | {"dan", "eve", "flo"}) if look.at_s >= 10 else look for look in LOOKS]
    assert verdict(good(), looks=newcomers).broken() == ["healed-in-time: not within 10 s"]


def test_a_group_that_stays_behind_is_not_healed() -> None:
    slow = [behind_by(state, 900 if state.elapsed_s >= 12 else 0) for state in STATES]
    assert verdict(good(), states=slow).broken() == ["healed-in-time: not within 10 s"]


def behind_by(state: State, events: int) -> State:
    return msgspec.structs.replace(state, behind={"pooled": events})


def test_an_answer_that_names_another_model_than_its_batch_is_a_mix() -> None:
    history = good()
    history.answered_as["ann", 2] = FIRST
    assert verdict(history).broken() == ["versions-never-mix: 1 of another model"]


def test_a_model_of_the_same_number_that_nobody_published_is_a_mix() -> None:
    history = good()
    history.used["ann", 0, 1] = ModelId(SECOND.lineage, 2, "3" * 16)
    assert verdict(history).broken() == ["versions-never-mix: 1 of another model"]


def test_a_device_that_goes_back_to_an_older_model_is_named() -> None:
    history = good()
    history.used = {("ann", 0, 1): SECOND, ("ann", 0, 2): FIRST}
    assert verdict(history).broken() == ["monotonic-versions: 1 went back"]


def test_a_pool_with_other_histories_than_undisturbed_has_not_converged() -> None:
    assert verdict(good(), undisturbed=pool(1, 2)).ok
    broken = verdict(good(), undisturbed=pool(1, 2, digest=8)).broken()
    assert broken == ["convergence: 2 samples are not those that the undisturbed run left"]


def test_what_a_refused_event_changes_for_its_user_is_no_divergence() -> None:
    history = good()
    history.refused_of.add(5)
    assert verdict(history, undisturbed=pool(1, 2, 3)).ok


def test_a_batch_that_is_taken_long_after_a_newer_one_was_there_is_a_stale_read() -> None:
    history = good()
    history.answers["ann", 1], history.answered_as["ann", 1] = 20_000, FIRST
    history.accepted["ann", 1] = {20_000}
    stale = verdict(history).stability.stale_reads
    assert (stale.count, stale.p50_s) == (1, 8.0)
