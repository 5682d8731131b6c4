from typing import NamedTuple

import pytest

from operators.decode import Arrival, Asked, decode
from wire.dead_letter import DeadLetter
from wire.event import Event, encode_event
from wire.ids import item_key, sample_key
from wire.moments import SKEW_MS, EventMs, WallMs
from wire.telemetry import MOST_SEQ, MatchRequest, Presence, encode_report

NOW_MS = WallMs(1_700_000_000_000)


class Message(NamedTuple):
    topic: str
    value: bytes
    timestamp_ms: WallMs = NOW_MS
    partition: int = 2
    offset: int = 7


def event(**changes: object) -> bytes:
    fields = {
        "event_id": "e1",
        "user_id": "ann",
        "item_id": "tea",
        "category_id": "drinks",
        "event_type": "click",
        "label": 1,
        "timestamp": NOW_MS - 5,
    }
    return encode_event(Event(**(fields | changes)))  # type: ignore[arg-type]


def one(message: Message, now_ms: int = NOW_MS) -> object:
    (decoded,) = decode([message], "requests", WallMs(now_ms))
    return decoded


def test_an_event_becomes_keys_under_its_user() -> None:
    raw = event(base=0.5)
    assert one(Message("events", raw)) == Arrival(
        user_id="ann",
        sample=sample_key("e1"),
        item=item_key("tea"),
        category=item_key("drinks"),
        label=1,
        timestamp=EventMs(NOW_MS - 5),
        base=0.5,
        produced_ms=NOW_MS,
        raw=raw,
        partition=2,
        offset=7,
    )


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"garbage", "malformed"),
        (b"", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b'{"event_id": "e"', "truncated"),
        (b'{"format":"event/1"}', "missing required field `event_id`"),
        (event().replace(b'"label":1', b'"label":2'), "$.label"),
        (event().replace(b'"label":1', b'"label":NaN'), "malformed"),
        (event().replace(b'"ann"', b'""'), "$.user_id"),
        (event().replace(b'"ann"', b"7"), "$.user_id"),
        (event(timestamp=0).replace(b'"timestamp":0', b'"timestamp":-1'), "$.timestamp"),
        (event(timestamp=0).replace(b'"timestamp":0', b'"timestamp":1.5'), "$.timestamp"),
    ],
)
def test_a_bad_event_keeps_its_bytes_and_says_why(raw: bytes, reason: str) -> None:
    rejected = one(Message("events", raw))
    assert isinstance(rejected, DeadLetter)
    assert (rejected.what, rejected.reason, rejected.raw) == ("event", "malformed", raw)
    assert reason in rejected.detail
    assert {k: v for k, v in rejected.headers.items() if k in ("source", "partition", "offset")} == {
        "source": b"events",
        "partition": b"2",
        "offset": b"7",
    }


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (event().replace(b"event/1", b"event/2"), "unknown_format"),
        (event().replace(b'"format":"event/1",', b""), "unknown_format"),
        (event(context={"x": "y" * 70_000}), "too_large"),
        (b"[" * 1500 + b"]" * 1500, "too_deep"),
        (event(context={"x": 1}).replace(b'"x":1', b'"x":' + b'{"a":' * 1500 + b"1" + b"}" * 1500), "too_deep"),
    ],
)
def test_what_could_stop_a_decoder_is_refused_with_its_own_reason(raw: bytes, reason: str) -> None:
    rejected = one(Message("events", raw))
    assert isinstance(rejected, DeadLetter) and rejected.reason == reason


def test_nothing_happens_after_it_was_told_of_but_for_clocks_that_differ_a_little() -> None:
    assert isinstance(one(Message("events", event(timestamp=NOW_MS + SKEW_MS))), Arrival)
    rejected = one(Message("events", event(timestamp=NOW_MS + SKEW_MS + 1)))
    assert isinstance(rejected, DeadLetter) and rejected.reason == "ahead"
    assert "300001 ms of the wall clock, 300000 ms are allowed" in rejected.detail


@pytest.mark.parametrize("told_ms", [-1, 0, NOW_MS - 86_400_000])
def test_a_producer_whose_clock_is_behind_or_says_nothing_is_not_held_against_its_events(told_ms: int) -> None:
    assert isinstance(one(Message("events", event(timestamp=NOW_MS), WallMs(told_ms))), Arrival)


@pytest.mark.parametrize("now_ms", [0, NOW_MS - 86_400_000])
def test_the_clock_here_stepping_back_makes_no_event_one_of_the_future(now_ms: int) -> None:
    assert isinstance(one(Message("events", event(timestamp=NOW_MS)), now_ms), Arrival)


def test_a_request_comes_under_its_user() -> None:
    raw = encode_report(MatchRequest("ann", "connected", 1))
    assert one(Message("requests", raw)) == Asked("ann", NOW_MS, 1, "connected")


_TOO_FAR = encode_report(MatchRequest("ann", "connected", MOST_SEQ))  # nothing higher could be counted on from


@pytest.mark.parametrize("raw", [b"garbage", encode_report(Presence("ann", True)), event(), _TOO_FAR])
def test_what_is_no_request_is_refused_and_not_counted_as_an_event(raw: bytes) -> None:
    rejected = one(Message("requests", raw))
    assert isinstance(rejected, DeadLetter) and rejected.what == "request" and rejected.raw == raw


def test_one_bad_message_takes_no_other_with_it() -> None:
    decoded = decode(
        [Message("events", event()), Message("events", b"?"), Message("events", event())], "requests", NOW_MS
    )
    assert [isinstance(d, DeadLetter) for d in decoded] == [False, True, False]
