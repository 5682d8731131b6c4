import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim import topics
from streams.kafka.topics import DEAD_LETTERS, EVENTS, REQUESTS, TELEMETRY
from streams.tunnel.upload import LARGEST_BYTES, read_upload
from wire.event import Event, decode_event, encode_event
from wire.telemetry import Ack, MatchRequest, Presence, encode_report


def _event(event_id: str, user_id: str = "ann", **more: object) -> bytes:
    return encode_event(Event(event_id, user_id, "i1", "c1", "click", 1, 1000, more or None))


def test_one_event_passes_as_it_came() -> None:
    upload = read_upload(topics.events("ann"), _event("e1"))
    (letter,) = upload.letters
    assert (letter.topic, letter.key, letter.value, letter.reason) == (EVENTS, b"ann", _event("e1"), "")
    assert upload.event_ids == ["e1"]


@given(st.lists(st.text(min_size=1, max_size=5).map(lambda s: s.encode("utf-8", "replace").decode()), max_size=5))
def test_an_array_of_events_becomes_one_letter_each_in_order(event_ids: list[str]) -> None:
    payload = b"[" + b" , ".join(map(_event, event_ids)) + b"]"
    upload = read_upload(topics.events("ann"), payload)
    assert [decode_event(letter.value).event_id for letter in upload.letters] == event_ids == upload.event_ids


def test_a_bad_event_in_an_array_does_not_take_the_good_ones_with_it() -> None:
    bad = b'{"event_id":"e2","user_id":"ann","label":NaN}'
    with pytest.raises(msgspec.DecodeError):
        decode_event(bad)
    payload = b"[" + _event("e1") + b',{"event_id":"e2","label":7},' + _event("e3") + b"]"
    upload = read_upload(topics.events("ann"), payload)
    assert [(each.topic, each.reason) for each in upload.letters] == [
        (EVENTS, ""),
        (DEAD_LETTERS, "malformed"),
        (EVENTS, ""),
    ]
    # The bad one is receipted too: sending the same bytes again would not mend them.
    assert upload.event_ids == ["e1", "e2", "e3"]


@pytest.mark.parametrize("payload", [b"", b"no json", b"[", b"[1", b"\xff\xfe", b'{"event_id": "e"', b"7"])
def test_garbage_goes_to_the_dead_letters_as_it_came(payload: bytes) -> None:
    upload = read_upload(topics.events("ann"), payload)
    (letter,) = upload.letters
    assert (letter.topic, letter.reason, letter.value) == (DEAD_LETTERS, "malformed", payload)
    assert letter.detail
    assert letter.of_event


def test_a_device_cannot_send_events_of_another() -> None:
    upload = read_upload(topics.events("ann"), _event("e1", "bob"))
    (letter,) = upload.letters
    assert (letter.topic, letter.key, letter.reason) == (DEAD_LETTERS, b"ann", "wrong_device")
    assert upload.event_ids == ["e1"]


def test_an_event_that_kafka_would_not_take_is_a_dead_letter() -> None:
    upload = read_upload(topics.events("ann"), _event("e1", blob="x" * LARGEST_BYTES))
    (letter,) = upload.letters
    assert (letter.topic, letter.reason) == (DEAD_LETTERS, "too_large")
    assert len(letter.value) == LARGEST_BYTES


@pytest.mark.parametrize(
    ("topic", "report", "kafka_topic"),
    [
        (topics.ack("a/b"), Ack("a/b", 1, 1, "accepted", 5), TELEMETRY),
        (topics.requests("a/b"), MatchRequest("a/b", "connected", 5), REQUESTS),
        (topics.presence("a/b"), Presence("a/b", True), TELEMETRY),
    ],
)
def test_reports_go_where_they_belong(topic: str, report: Ack | MatchRequest | Presence, kafka_topic: str) -> None:
    upload = read_upload(topic, encode_report(report))
    (letter,) = upload.letters
    assert (letter.topic, letter.key, letter.value) == (kafka_topic, b"a/b", encode_report(report))
    assert upload.event_ids == []


def test_a_report_on_the_wrong_topic_or_of_another_device_is_a_dead_letter() -> None:
    ack = encode_report(Ack("ann", 1, 1, "accepted", 5))
    assert read_upload(topics.requests("ann"), ack).letters[0].reason == "malformed"
    assert read_upload(topics.ack("bob"), ack).letters[0].reason == "wrong_device"
    assert not read_upload(topics.ack("bob"), ack).letters[0].of_event
