import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim import topics
from streams.kafka.topics import EVENTS, REQUESTS, TELEMETRY
from streams.tunnel.upload import read_upload
from tests.wire.reports import ack
from wire.event import EVENT_BYTES, UPLOAD_BYTES, Event, decode_event, encode_event
from wire.malformed import Malformed
from wire.reason import Reason
from wire.telemetry import Ack, MatchRequest, Presence, encode_report


def _event(event_id: str, user_id: str = "ann", **more: object) -> bytes:
    return encode_event(Event(event_id, user_id, "i1", "c1", "click", 1, 1000, more or None))


def test_one_event_passes_as_it_came() -> None:
    upload = read_upload(topics.events("ann"), _event("e1"))
    (letter,) = upload.letters
    assert (letter.topic, letter.key, letter.value) == (EVENTS, b"ann", _event("e1"))
    assert upload.event_ids == ["e1"] and upload.dead == []


@given(st.lists(st.text(min_size=1, max_size=5).map(lambda s: s.encode("utf-8", "replace").decode()), max_size=5))
def test_an_array_of_events_becomes_one_letter_each_in_order(event_ids: list[str]) -> None:
    payload = b"[" + b" , ".join(map(_event, event_ids)) + b"]"
    upload = read_upload(topics.events("ann"), payload)
    assert [decode_event(letter.value).event_id for letter in upload.letters] == event_ids == upload.event_ids


def test_a_bad_event_in_an_array_does_not_take_the_good_ones_with_it() -> None:
    bad = b'{"format":"event/1","event_id":"e2","user_id":"ann","label":7}'
    with pytest.raises(Malformed):
        decode_event(bad)
    upload = read_upload(topics.events("ann"), b"[" + _event("e1") + b"," + bad + b"," + _event("e3") + b"]")
    assert [decode_event(each.value).event_id for each in upload.letters] == ["e1", "e3"]
    assert [(each.reason, each.raw) for each in upload.dead] == [("malformed", bad)]
    # The bad one is receipted too: sending the same bytes again would not mend them.
    assert sorted(upload.event_ids) == ["e1", "e2", "e3"]


@pytest.mark.parametrize("payload", [b"", b"no json", b"[", b"[1", b"\xff\xfe", b'{"event_id": "e"', b"7", b"[" * 5000])
def test_garbage_goes_to_the_dead_letters_as_it_came(payload: bytes) -> None:
    upload = read_upload(topics.events("ann"), payload)
    (letter,) = upload.dead
    assert letter.reason in ("malformed", "too_deep") and letter.value == payload and upload.letters == []
    assert letter.detail and letter.of_event and letter.origin.source == topics.events("ann")


def test_a_device_cannot_send_events_of_another() -> None:
    upload = read_upload(topics.events("ann"), _event("e1", "bob"))
    (letter,) = upload.dead
    assert letter.reason == "wrong_device" and upload.letters == []
    assert upload.event_ids == ["e1"]


@pytest.mark.parametrize("most", [EVENT_BYTES, UPLOAD_BYTES])
def test_an_event_that_is_too_large_is_a_dead_letter_that_every_kafka_takes(most: int) -> None:
    upload = read_upload(topics.events("ann"), _event("e1", blob="x" * most))
    (letter,) = upload.dead
    assert letter.reason == "too_large" and len(letter.value) <= 64 << 10
    assert int(letter.headers["length"]) > most


@pytest.mark.parametrize(
    ("topic", "report", "kafka_topic"),
    [
        (topics.ack("a/b"), ack("a/b", 1), TELEMETRY),
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
    raw = encode_report(ack("ann", 1))
    assert read_upload(topics.requests("ann"), raw).dead[0].reason == "malformed"
    assert read_upload(topics.ack("bob"), raw).dead[0].reason == "wrong_device"
    assert not read_upload(topics.ack("bob"), raw).dead[0].of_event


@pytest.mark.parametrize("leaf", ["events", "ack", "requests", "telemetry", "presence"])
@pytest.mark.parametrize("part", ["ann", ""])
def test_dead_letters_name_the_kind_of_message_as_the_protocol_does(part: str, leaf: str) -> None:
    (letter,) = read_upload(f"coda/devices/{part}/{leaf}", b"nothing").dead
    assert letter.what == {"events": "event", "requests": "request"}.get(leaf, leaf)


@pytest.mark.parametrize("leaf", ["events", "ack", "requests", "telemetry", "presence"])
@pytest.mark.parametrize("part", ["", "é" * 30_000, "%41" * 20_000])
def test_who_has_no_name_or_an_endless_one_gets_no_receipt(part: str, leaf: str) -> None:
    upload = read_upload(f"coda/devices/{part}/{leaf}", b'[{"event_id": "e1"}]')
    assert (upload.letters, upload.event_ids) == ([], [])
    (letter,) = upload.dead
    assert letter.reason == Reason.WRONG_DEVICE
    assert len(letter.origin.source) <= 256


def test_what_is_no_event_and_has_an_endless_id_makes_no_endless_receipt() -> None:
    upload = read_upload(topics.events("ann"), b'[{"event_id": "' + b"e" * 50_000 + b'"}]')
    assert (len(upload.dead), upload.event_ids) == (1, [])
