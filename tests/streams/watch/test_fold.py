"""Many processes, one picture: they add up, nobody is frozen, and a restart takes nothing back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.metrics import Metrics
from monitor.words import Word
from streams.watch.fold import MOST_PROCESSES, Fold
from tests.streams.watch.statuses import frontier, pooled, status
from wire.status import Role, Status


def told(*statuses: Status) -> Fold:
    fold = Fold()
    for each in statuses:
        fold.take(each, each.said_ms)
    return fold


def test_several_processes_of_one_role_add_up() -> None:
    fold = told(*(status(name=str(n), at_s=s, values=pooled(10 * s * (n + 1))) for s in range(1, 11) for n in range(3)))
    picture = fold.picture(10_000)
    assert picture.total(Metrics.pooled) == 600 and picture.growth(Metrics.pooled) == 60
    assert [process.key for process in picture.processes] == ["flow/0", "flow/1", "flow/2"]


def test_a_gauge_of_one_thing_that_two_processes_see_counts_once() -> None:
    seen = {"coda_devices_connected": {"": 7}, "coda_pool_live_samples": {"shard=0": 5}}
    picture = told(status(name="0", at_s=1, values=seen), status(name="1", at_s=1, values=seen)).picture(1000)
    assert picture.total(Metrics.devices_connected) == 7 and picture.total(Metrics.pool_live) == 10


def test_processes_of_a_fleet_are_one_fleet() -> None:
    def share(name: str, connected: int, predicted: int, gauc: float) -> Status:
        arms = {"coda_predictions_total": {"": predicted}, "coda_arm_gauc": {"arm=coda": gauc}}
        return status(Role.FLEET, name, at_s=1, values={"coda_devices_connected": {"": connected}, **arms})

    tunnel = status(Role.TUNNEL, "t", at_s=1, values={"coda_devices_connected": {"": 11}})
    fleet = share("coda-fleet-0", 7, 300, 0.6), share("coda-fleet-1", 5, 100, 0.7), share("coda-fleet-2", 0, 0, 0.5)
    picture = told(*fleet[:2], tunnel).picture(1000)
    assert picture.total(Metrics.devices_connected) == 12, "and the tunnel has not heard of one yet"
    assert picture.by(Metrics.arm_gauc, "arm") == {"coda": pytest.approx(0.625)}
    assert told(*fleet).picture(1000).by(Metrics.arm_gauc, "arm")["coda"] == pytest.approx(0.625, abs=0.001)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_a_restart_is_no_negative_rate_and_takes_nothing_back(steps: list[tuple[int, bool]]) -> None:
    fold, counted, boot, done = Fold(), 0, 1, 0
    for second, (grows, restarts) in enumerate(steps, 1):
        if restarts:
            boot, counted = boot + 1, 0
        counted, done = counted + grows, done + grows
        fold.take(status(at_s=second, boot=boot, values=pooled(counted)), second * 1000)
        picture = fold.picture(second * 1000)
        assert picture.total(Metrics.pooled) == done
        assert picture.growth(Metrics.pooled) >= 0


@given(st.permutations(range(1, 9)), st.lists(st.integers(1, 8), max_size=8))
def test_what_comes_late_or_twice_changes_nothing(order: list[int], again: list[int]) -> None:
    fold = Fold()
    for second in [*order, *again]:
        fold.take(status(at_s=second, values=pooled(second)), second * 1000)
    assert fold.picture(9000).total(Metrics.pooled) == 8


@pytest.mark.parametrize("lasts_s", [0, 5])
def test_a_second_process_of_a_name_that_ended_leaves_the_first_one_as_it_is(lasts_s: int) -> None:
    """Whoever finds its name taken ends, and the one that was there counts on: it is neither down nor a rival."""
    fold = Fold()
    for second in range(1, 41):
        for boot, counted in ((1, second), (2, second - 19)) if 20 <= second <= 20 + lasts_s else ((1, second),):
            ended = boot == 2 and second == 20 + lasts_s
            said = status(at_s=second, boot=boot, values=pooled(counted), ages={"pooled": (counted,)}, ended=ended)
            fold.take(said, said.said_ms)
    picture = fold.picture(40_000)
    assert picture.processes[0].up and not picture.processes[0].has_rival
    assert picture.total(Metrics.pooled) == 40 + lasts_s + 1 and picture.growth(Metrics.pooled) == 1
    assert fold.passed()["pooled"].count == 40 + lasts_s + 1


def test_a_process_that_stops_is_silent_and_its_rates_and_gauges_are_nobodys() -> None:
    values = {**pooled(5), "coda_devices_connected": {"": 9}}
    fold = told(*(status(at_s=s, values=values | pooled(s)) for s in range(1, 11)))
    assert fold.picture(12_000).processes[0].silent_s == 0
    picture = fold.picture(22_000)
    assert picture.processes[0].silent_s == 12 and not picture.processes[0].up
    assert picture.total(Metrics.pooled) == 10, "what was done stays done"
    assert picture.growth(Metrics.pooled) == 0 and picture.total(Metrics.devices_connected) == 0


def test_ages_grow_when_a_process_dies_and_the_word_is_down_within_five_seconds() -> None:
    fold = told(*(status(at_s=s, frontiers=(frontier("pooled", s, s, s),)) for s in range(1, 11)))
    alive, dead = fold.picture(10_500).stage("pooled"), fold.picture(15_000).stage("pooled")
    assert alive is not None and dead is not None
    assert (alive.word, alive.age_s) == (Word.FRESH, 0.5)
    assert (dead.word, dead.age_s, dead.rule) == (Word.DOWN, 5.0, "its process is silent since 5 s")
    later = fold.picture(60_000).stage("pooled")
    assert later is not None and later.age_s == 50 and later.partitions[0].age_s == 50


def behind(*, pooled_until_s: float, tunnelled_until_s: float, now_s: int = 100) -> Fold:
    replay = status(Role.REPLAY, "log", at_s=now_s, frontiers=(frontier("produced", 9, 9, now_s, partition=-1),))
    flow = status(at_s=now_s, frontiers=(frontier("pooled", 5, 9, pooled_until_s),))
    tunnel = status(Role.TUNNEL, "t", at_s=now_s, frontiers=(frontier("tunnelled", 5, 9, tunnelled_until_s),))
    return told(replay, flow, tunnel)


@pytest.mark.parametrize(
    ("pooled_until_s", "tunnelled_until_s", "own", "against_produced"),
    [
        (100, 100, (0, 0), (0, 0)),
        (40, 100, (60, 0), (60, 60)),
        (100, 40, (0, 60), (0, 60)),
        (70, 40, (30, 30), (30, 60)),
    ],
)
def test_a_lag_is_the_fault_of_the_stage_where_it_begins(
    pooled_until_s: float, tunnelled_until_s: float, own: tuple[float, float], against_produced: tuple[float, float]
) -> None:
    picture = behind(pooled_until_s=pooled_until_s, tunnelled_until_s=tunnelled_until_s).picture(100_000)
    stages = [picture.stage(name) for name in ("pooled", "tunnelled")]
    assert tuple(stage.local_s for stage in stages if stage) == own
    assert tuple(stage.global_s for stage in stages if stage) == against_produced


def test_once_nothing_more_is_produced_a_lag_stays_and_an_age_goes_on() -> None:
    fold = behind(pooled_until_s=40, tunnelled_until_s=100)
    stage = fold.picture(160_000).stage("pooled")
    assert stage is not None and (stage.global_s, stage.age_s) == (60, 120)


def test_event_time_and_wall_clock_are_two_ages() -> None:
    """A replay at 100 times the log's pace."""
    replay = status(
        Role.REPLAY, "log", at_s=100, frontiers=(frontier("produced", 9, 9, 100, partition=-1, event_ms=900_000),)
    )
    flow = status(at_s=100, frontiers=(frontier("pooled", 9, 9, 97, event_ms=600_000),))
    stage = told(replay, flow).picture(100_000).stage("pooled")
    assert stage is not None and (stage.age_s, stage.event_s) == (3, 300)


@pytest.mark.parametrize("wrong_s", [-3600, -1, 1, 3600])
def test_a_process_whose_clock_is_wrong_has_right_ages_all_the_same(wrong_s: int) -> None:
    fold = Fold()
    for second in range(10_000, 10_011):
        at_s = second + wrong_s
        said = status(at_s=at_s, boot=(10_000 + wrong_s) * 1000, frontiers=(frontier("pooled", 1, 2, at_s - 5),))
        fold.take(said, second * 1000)
    picture = fold.picture(10_011_000)
    stage = picture.stage("pooled")
    assert stage is not None and (stage.age_s, stage.word) == (6, Word.STALLED)
    assert picture.processes[0].since_ms == 10_000_000


def test_a_status_that_was_under_way_for_seconds_makes_nothing_younger() -> None:
    fold = Fold()
    for second in range(1, 7):
        said = status(at_s=second, boot=1000, frontiers=(frontier("pooled", 1, 2, second - 0.5),))
        fold.take(said, 6000 if second < 6 else 11_000)
    picture = fold.picture(11_000)
    stage = picture.stage("pooled")
    assert stage is not None and stage.age_s == 4.5 and picture.processes[0].since_ms == 2000


def test_a_clock_that_is_set_back_is_no_restart_and_no_time_that_runs_back() -> None:
    fold, back_s = Fold(), 3600
    for second in range(5000, 5020):
        at_s = second - back_s if second >= 5010 else second
        said = status(at_s=second, boot=5_000_000, frontiers=(frontier("pooled", second, 9999, at_s - 9),))
        fold.take(replace(said, said_ms=at_s * 1000), second * 1000)
        picture = fold.picture(second * 1000)
        stage = picture.stage("pooled")
        assert stage is not None and stage.age_s == 9 and (stage.left_s or 0) >= 0
        assert picture.processes[0].since_ms == 5_000_000


@pytest.mark.parametrize("ended", [True, False])
def test_who_starts_anew_after_its_clock_was_set_back_is_there_and_no_rival(*, ended: bool) -> None:
    fold, wrong_s = Fold(), 3600
    for second in range(10):
        said = status(at_s=second + wrong_s, boot=wrong_s * 1000, values=pooled(second), ended=ended and second == 9)
        fold.take(said, second * 1000)
    for second in range(11, 31):
        fold.take(status(at_s=second, boot=11_000, values=pooled(second)), second * 1000)
    picture = fold.picture(30_000)
    assert picture.processes[0].up and not picture.processes[0].has_rival
    assert picture.processes[0].since_ms == 11_000 and picture.total(Metrics.pooled) == 9 + 30


def test_a_stage_is_as_well_as_its_worst_partition() -> None:
    fold = told(
        *(
            status(at_s=s, frontiers=(frontier("pooled", s, s, s), frontier("pooled", 4, 8, 1, partition=1)))
            for s in range(1, 11)
        )
    )
    stage = fold.picture(10_000).stage("pooled")
    assert stage is not None and stage.word is Word.STALLED and stage.rule.startswith("partition 1: 4 to do")
    assert [p.word for p in stage.partitions] == [Word.FRESH, Word.STALLED] and stage.behind == 4


def test_who_starts_anew_goes_on_from_the_moment_that_it_had_reached() -> None:
    before = status(at_s=10, boot=1, frontiers=(frontier("pooled", 5, 5, 10),))
    replay = status(Role.REPLAY, "log", at_s=30, frontiers=(frontier("produced", 9, 9, 30, partition=-1),))
    fold = told(before, status(at_s=30, boot=20, frontiers=(frontier("pooled", 5, 900, 0),)), replay)
    stage = fold.picture(30_000).stage("pooled")
    assert stage is not None and (stage.age_s, stage.local_s, stage.global_s) == (20, 20, 20)
    fold.take(status(at_s=31, boot=21, frontiers=(frontier("pooled", 0, 900, 0),)), 31_000)
    anew = fold.picture(31_000).stage("pooled")
    assert anew is not None and (anew.age_s, anew.local_s, anew.global_s) == (None, None, None), "it lost its place"


def test_what_comes_after_a_stage_of_which_nothing_is_known_has_no_lag_either() -> None:
    flow = status(at_s=9, frontiers=(frontier("pooled", 0, 7, 0),))
    tunnel = status(Role.TUNNEL, "t", at_s=9, frontiers=(frontier("tunnelled", 4, 4, 9),))
    stage = told(flow, tunnel).picture(9000).stage("tunnelled")
    assert stage is not None and stage.global_s is None and stage.local_s == 0


def test_of_two_processes_with_one_partition_the_one_that_is_there_counts() -> None:
    dead = [status(name="a", at_s=s, frontiers=(frontier("tunnelled", 50, 50, 5),)) for s in range(1, 5)]
    alive = [status(name="b", at_s=s, frontiers=(frontier("tunnelled", s, 100, 4),)) for s in range(5, 15)]
    stage = told(*dead, *alive).picture(14_000).stage("tunnelled")
    assert stage is not None and stage.word is Word.BEHIND and stage.partitions[0].position == 14


def test_of_too_many_processes_the_longest_silent_are_let_go() -> None:
    fold = told(status(name="ours", at_s=1), *(status(name=f"x{n}", at_s=2) for n in range(MOST_PROCESSES - 1)))
    for second in range(3, 8):
        fold.take(status(name="ours", at_s=second), second * 1000)
        fold.take(status(name=f"y{second}", at_s=second), second * 1000)
    keys = [process.key for process in fold.picture(8000).processes]
    assert len(keys) == MOST_PROCESSES and "flow/ours" in keys and "flow/x0" not in keys and "flow/y7" in keys


def test_a_replay_that_is_through_is_no_failure() -> None:
    last = status(Role.REPLAY, "log", at_s=9, ended=True, frontiers=(frontier("produced", 9, 9, 8, partition=-1),))
    stage = told(last).picture(60_000).stage("produced")
    assert stage is not None and stage.word is Word.IDLE


def test_a_lag_is_behind_the_newest_of_replays_that_are_through() -> None:
    replays = [
        status(Role.REPLAY, name, at_s=at_s, ended=True, frontiers=(frontier("produced", 9, 9, at_s, partition=-1),))
        for name, at_s in (("first", 9), ("second", 50))
    ]
    stage = told(*replays, status(at_s=50, frontiers=(frontier("pooled", 4, 9, 20),))).picture(51_000).stage("pooled")
    assert stage is not None and stage.global_s == 30


def test_ages_of_what_passed_are_of_the_window_and_of_all_processes() -> None:
    def said(name: str, second: int, count: int) -> Status:
        return status(
            name=name,
            at_s=second,
            age_bounds_s=(0.1, 1.0),
            ages={"pooled": (count, 0, 0)},
            frontiers=(frontier("pooled", 1, 1, second),),
        )

    fold = told(*(said(name, second, 1000 + 10 * second) for second in range(1, 11) for name in "ab"))
    stage = fold.picture(10_000).stage("pooled")
    assert stage is not None and stage.ages is not None
    assert stage.ages.count == 180 and 0 < stage.ages.p99_s <= 0.1


def test_what_has_no_partitions_is_as_far_as_the_process_that_is_least_far() -> None:
    one = status(Role.TUNNEL, "a", at_s=9, frontiers=(frontier("pushed", 9, 9, 9, partition=-1),))
    other = status(Role.TUNNEL, "b", at_s=9, frontiers=(frontier("pushed", 4, 9, 2, partition=-1),))
    stage = told(one, other).picture(9000).stage("pushed")
    assert stage is not None and (stage.age_s, stage.behind, stage.word) == (7, 5, Word.BEHIND)
    assert stage.rule.startswith("5 to do"), "there is no partition to name"


@pytest.mark.parametrize("ended", [True, False])
def test_a_tunnel_that_another_one_replaced_under_its_own_name_is_not_waited_for(*, ended: bool) -> None:
    def of(name: str, at_s: int, *, ended: bool = False) -> Status:
        pushed = frontier("pushed", at_s, at_s, at_s, partition=-1)
        return status(Role.TUNNEL, name, at_s=at_s, ended=ended, frontiers=(pushed,))

    before = [of("pod-1", at_s, ended=ended and at_s == 20) for at_s in range(1, 21)]
    gone = told(*before).picture(40_000).stage("pushed")
    assert gone is not None and gone.word is Word.DOWN
    replaced = told(*before, *(of("pod-2", at_s) for at_s in range(25, 41))).picture(40_000).stage("pushed")
    assert replaced is not None and (replaced.word, replaced.age_s) == (Word.FRESH, 0)


def test_a_process_of_a_fleet_that_is_silent_is_not_replaced_by_another_one() -> None:
    trained = (frontier("trained", 4, 9, 2, partition=-1),)
    statuses = [status(Role.FLEET, name, at_s=at_s, frontiers=trained) for name, at_s in (("f-0", 9), ("f-1", 40))]
    stage = told(*statuses).picture(40_000).stage("trained")
    assert stage is not None and stage.word is Word.DOWN


@pytest.mark.parametrize(
    ("back_until_s", "word", "said"),
    [
        (100, Word.IDLE, "and canaries come back"),
        (80, Word.STALLED, "but canaries do not come back"),
        (None, Word.IDLE, "nothing is left"),
    ],
)
def test_idle_is_what_a_canary_still_comes_through(back_until_s: int | None, word: Word, said: str) -> None:
    fold = Fold()
    for second in range(85, 101):
        fold.take(status(at_s=second, frontiers=(frontier("pooled", 5, 5, second),)), second * 1000)
        if back_until_s is not None:
            back = min(second, back_until_s)
            sent = frontier("canary", back, second, back, partition=-1)
            fold.take(status(Role.CANARY, "c", at_s=second, frontiers=(sent,)), second * 1000)
    stage = fold.picture(100_000).stage("pooled")
    assert stage is not None and stage.word is word and said in stage.rule


def test_what_a_process_keeps_on_its_disk_is_there_when_it_has_ended() -> None:
    values = {"coda_samples_waiting": {"": 3.0}, "coda_devices_connected": {"": 9.0}}
    fold = told(status(at_s=1, values=values, ended=True))
    picture = fold.picture(60_000)
    assert (picture.total(Metrics.samples_waiting), picture.total(Metrics.devices_connected)) == (3, 0)
    fold.take(status(name="1", at_s=61, values={"coda_samples_waiting": {"": 2.0}}), 61_000)
    assert fold.picture(61_000).total(Metrics.samples_waiting) == 2, "another one has taken it over"
