"""The verdict on histories made up for it: what is wrong is named."""

import polars as pl

from monitor.state import State
from streams.faults.conductor import Done
from streams.faults.effect import Effect
from streams.faults.history import History
from streams.faults.verdict import Verdict, judge

DROP = Done(name="down", began_s=10, ended_s=20, stops=True, effect=Effect(there=3, cut=3))
STATES = [
    State(elapsed_s=float(i), phase="live stream", produced=3, devices_connected=2 if 10 <= i < 25 else 5)
    for i in range(40)
]


def good() -> History:
    history = History(attempted={1: 100, 2: 12_000, 3: 100}, acknowledged={1: 200, 2: 21_000, 3: 200})
    history.delivered.update([1, 2, 2, 3])
    history.pooled.update([1, 2])
    history.refused.add(3)
    history.batches = {("ann", 1): 100, ("ann", 2): 12_000}
    history.answers = {("ann", 2): 22_000}
    history.accepted = {("ann", 2): {22_000}}
    return history


def verdict(history: History, faults: list[Done] | None = None, states: list[State] | None = None) -> Verdict:
    return judge(
        history=history,
        states=states or STATES,
        faults=faults or [DROP],
        predictions=pl.DataFrame({"event_id": ["a", "b"], "user_id": ["ann", "ann"]}),
        window_ms=(10_000, 20_000),
        healed_within_s=10,
        problems=[],
    )


def test_a_run_in_which_all_held() -> None:
    result = verdict(good())
    assert result.ok, result.broken()
    assert result.events.recovered == result.batches.recovered == 1
    assert (result.recovered_s, result.fewest_devices, result.most_devices, result.redelivered) == (5, 2, 5, 1)


def test_a_lost_event_is_named() -> None:
    history = good()
    del history.pooled[2]
    assert verdict(history).broken() == ["no-event-lost: 1 lost"]


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


def test_a_fault_that_did_nothing_fails_the_run() -> None:
    idle = Done(name="hold", began_s=10, ended_s=20, stops=True, effect=Effect())
    assert verdict(good(), [DROP, idle]).broken() == ["every-fault-acted: injected 2, took effect 1: hold did nothing"]


def test_a_part_of_a_fault_that_found_nobody_is_no_failure() -> None:
    nobody = Done(name="down", began_s=12, ended_s=20, stops=True, effect=Effect())
    assert verdict(good(), [DROP, nobody]).ok


def test_a_batch_that_was_taken_twice_is_named_and_an_answer_that_came_twice_is_not() -> None:
    history = good()
    history.accepted["ann", 2].add(22_000)
    assert verdict(history).ok
    history.accepted["ann", 2].add(23_000)
    assert verdict(history).broken() == ["accepted-once: 1 taken twice"]


def test_a_system_that_never_heals_is_named() -> None:
    assert verdict(good(), states=STATES[:22]).broken() == ["healed-in-time: not within 10 s"]
