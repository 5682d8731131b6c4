from hypothesis import given
from hypothesis import strategies as st

from operators.decode import Arrival, Arrived
from streams.kafka.topics import UNSCORED
from streams.scoring.merge import Merge
from tests.streams.scoring.world import NOW_MS, message
from wire.event import Event, encode_event

PARTITIONS = [(UNSCORED, number) for number in range(3)]
TIMES = st.lists(st.integers(0, 50), max_size=20).map(sorted)


def told(merge: Merge, *awaited: int) -> list[tuple[int, int]]:
    return [place(each) for each in merge.take([PARTITIONS[number] for number in awaited])]


def place(arrived: Arrived) -> tuple[int, int]:
    at = arrived if isinstance(arrived, Arrival) else arrived.origin
    assert at.partition is not None and at.offset is not None, "it says where it came from"
    return at.partition, at.offset


def at(timestamp: int, offset: int, partition: int) -> bytes:
    return encode_event(Event(f"e{partition}/{offset}", "u", "i", "c", "view", 1, timestamp))


@given(times=st.lists(TIMES, min_size=3, max_size=3), chunk=st.integers(1, 9))
def test_a_backlog_goes_on_by_event_time_however_it_is_read(times: list[list[int]], chunk: int) -> None:
    merge, out, left = Merge(), list[int](), [list(enumerate(each)) for each in times]
    while any(left):
        for partition in range(3):
            came, left[partition] = left[partition][:chunk], left[partition][chunk:]
            merge.put([message(at(time, offset, partition), offset, partition) for offset, time in came], NOW_MS)
            awaited = [number for number in range(3) if left[number]]
            out += [times[number][offset] for number, offset in told(merge, *awaited)]
    out += [times[number][offset] for number, offset in told(merge)]
    assert out == sorted(time for each in times for time in each) and not merge.first()


def test_what_waits_is_what_comes_next() -> None:
    merge = Merge()
    merge.put([message(at(9, 4, 0), 4, 0), message(b"no event", 5, 0), message(at(3, 7, 1), 7, 1)], NOW_MS)
    assert told(merge, 2) == [] and merge.first() == {PARTITIONS[0]: 4, PARTITIONS[1]: 7}
    assert told(merge, 0, 1) == [(1, 7)], "of partition 1 more is awaited"
    assert merge.first() == {PARTITIONS[0]: 4} and merge.more_than(1) == {PARTITIONS[0]}
    assert told(merge) == [(0, 4), (0, 5)]
