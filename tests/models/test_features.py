"""Features agree wherever they are made, whatever the order in which events arrive."""

from functools import partial

import msgspec
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from device_sim.device import Device
from device_sim.instruction import Predict
from device_sim.stimulus import ModelArrived, OwnEvent
from models.features import Features, Known
from operators.decode import Arrival
from operators.user import MatchRules, UserState
from streams.logs.initial_part import samples_of
from wire.event import Event
from wire.identity import ModelId
from wire.ids import sample_key
from wire.moments import EventMs, WallMs

HOUR_MS = 3_600_000
SCHEMA = {
    "event_id": pl.String,
    "user_id": pl.String,
    "item_id": pl.String,
    "category_id": pl.String,
    "label": pl.Int64,
    "timestamp": pl.Int64,
}


def known(*positives: tuple[int, int]) -> Known:
    """Knows an item at each time, as they came."""
    made = Known()
    for item, timestamp in positives:
        made.take(item, 1, 1, EventMs(timestamp))
    return made


def asked(made: Known, item: int, timestamp: int) -> Features:
    return made.take(item, 1, 0, EventMs(timestamp))


def test_what_comes_late_is_known_as_of_when_it_happened() -> None:
    made = known((1, 10), (2, 30), (3, 20))
    assert asked(made, 3, 20)[:3] == (0, 0, _keys(1))
    assert asked(made, 3, 40)[:3] == (1, 0, _keys(2, 3, 1))


def test_what_comes_again_behind_newer_events_changes_nothing() -> None:
    once, again = known((1, 10), (2, 20), (3, 30)), known((1, 10), (2, 20), (3, 30), (2, 20), (1, 10))
    assert [asked(once, item, 40) for item in (1, 2, 3)] == [asked(again, item, 40) for item in (1, 2, 3)]


def test_two_of_an_item_in_one_basket_are_two() -> None:
    assert asked(known((1, 10), (1, 10)), 1, 11)[:3] == (2, 0, _keys(1, 1))


def test_a_long_life_told_again_from_its_start_is_no_longer_and_no_item_in_it_was_taken_more_often() -> None:
    life = [(n % 700, n) for n in range(1, 2000)]
    once, again = known(*life), known(*life, *life[:-1])
    assert asked(once, 0, 2000)[2:] == asked(again, 0, 2000)[2:]
    assert all(asked(again, item, 2000).times <= 2 + (item < 600) for item in range(700))


EVENTS = st.lists(
    st.builds(
        partial(Event, user_id="ann", event_type="view"),
        event_id=st.integers(0, 40).map(str),
        item_id=st.sampled_from("abcd"),
        category_id=st.sampled_from("xy"),
        label=st.sampled_from([0, 1, 1]),
        timestamp=st.sampled_from([n * HOUR_MS // 4 for n in range(1, 20)]),
    ),
    max_size=40,
    unique_by=lambda event: event.event_id,
)


@given(EVENTS, st.data())
def test_dataflow_device_and_head_reader_agree_on_any_order_of_arrival(
    events: list[Event], data: st.DataObject
) -> None:
    """Those that are too late to become samples included: all know from then on what was taken in them."""
    again = data.draw(st.lists(st.sampled_from(events), max_size=5)) if events else []
    flow, late = in_flow([*events, *again])
    device, head = on_device([*events, *again]), in_head(events)
    assert device == head
    assert flow == {sample: seen for sample, seen in head.items() if sample not in late}


Seen = dict[int, tuple[int, bytes, bytes]]  # by sample: times and histories


def in_flow(events: list[Event]) -> tuple[Seen, set[int]]:
    """What the dataflow makes of events, saved and restored in between; and those that it refused as late."""
    made: Seen = {}
    late, state = set(), UserState("ann")
    for event in events:
        out = state.handle([Arrival.of(event, WallMs(0))], MatchRules(lateness_ms=HOUR_MS), WallMs(0))
        made |= {s.sample: (s.times, s.history_item, s.history_category) for s in out.samples}
        late |= {sample_key(event.event_id)} if out.late else set()
        state = UserState.restore(state.snapshot())
    return made, late - made.keys()


def on_device(events: list[Event]) -> Seen:
    device = Device("ann")
    device.handle(ModelArrived(ModelId("", 1), 0, 1000), WallMs(0))
    said = [one for event in events for one in device.handle(OwnEvent(event, 0), WallMs(0)) if isinstance(one, Predict)]
    return {sample_key(one.event_id): (one.times, one.history_item, one.history_category) for one in said}


def in_head(events: list[Event]) -> Seen:
    block = samples_of(pl.DataFrame([msgspec.structs.asdict(event) for event in events], schema=SCHEMA))
    keys = [[row[row != 0].tobytes() for row in column] for column in (block.history_item, block.history_category)]
    return dict(zip(block.sample.tolist(), zip(block.times.tolist(), *keys, strict=True), strict=True))


def _keys(*items: int) -> bytes:
    return b"".join(item.to_bytes(4, "little") for item in items)
