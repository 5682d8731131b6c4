from dataclasses import dataclass, field
from typing import cast

from streams.kafka.lag import GroupPositions
from streams.replay.throttle import Throttle, fitting_events


@dataclass
class Group:
    """A group whose lag the test sets."""

    group: str
    behind: dict[int, int] = field(default_factory=dict)

    def lag(self, topic: str) -> dict[int, int]:
        assert topic == "events"
        return self.behind


def throttle(*groups: Group, max_ahead: int | None = 100) -> Throttle:
    return Throttle(cast(list[GroupPositions], list(groups)), "events", max_ahead)


def test_it_stays_as_far_ahead_of_the_slowest_groups_fullest_partition_as_it_may() -> None:
    flow, fleet = Group("flow", {0: 10, 1: 5}), Group("fleet", {0: 0, 1: 70})
    limit = throttle(flow, fleet)
    assert limit.allowance(0, unacknowledged=0) == 30
    assert limit.slowest == ("fleet", 70)


def test_what_is_sent_and_not_yet_acknowledged_counts() -> None:
    limit = throttle(Group("flow", {0: 0}))
    assert limit.allowance(0, unacknowledged=40) == 60
    limit.sent(50)
    assert limit.allowance(0.001, unacknowledged=90) == 10


def test_it_looks_again_after_a_moment_and_waits_while_nobody_reads() -> None:
    flow = Group("flow", {0: 200})
    limit = throttle(flow)
    assert limit.allowance(0, 0) == 0
    flow.behind = {0: 1}
    assert limit.allowance(1, 0) == 99


def test_with_plenty_of_room_kafka_is_seldom_asked() -> None:
    flow = Group("flow", {0: 10})
    limit = throttle(flow)
    assert limit.allowance(0, 0) == 90
    flow.behind = {0: 20}
    assert limit.allowance(0.1, 0) == 90
    limit.sent(50)
    assert limit.allowance(0.11, 0) == 80
    assert limit.allowance(0.7, 0) == 80


def test_without_a_limit_it_is_what_the_embedded_broker_keeps_of_the_largest_events() -> None:
    limit = throttle(Group("flow", {0: 0}), max_ahead=None)
    limit.seen(300)
    limit.seen(200)
    assert limit.allowance(0, 0) == fitting_events(300)


def test_larger_events_leave_less_room_at_once_and_not_only_at_the_next_look() -> None:
    limit = throttle(Group("flow", {0: 10}), max_ahead=None)
    limit.seen(300)
    assert limit.allowance(0, 0) == fitting_events(300) - 10
    limit.sent(20)
    limit.seen(50_000)
    assert limit.allowance(0.01, 0) == fitting_events(50_000) - 30
