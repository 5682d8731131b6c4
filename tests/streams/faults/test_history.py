from streams.bus import Message
from streams.faults.history import Historian, History
from streams.faults.poison import poison
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.producer import CheckedProducer
from streams.kafka.topics import BEHAVIOUR, DEAD_LETTERS, EVENTS, TELEMETRY
from wire.event import Event, encode_event
from wire.identity import NO_MODEL
from wire.ids import item_key, sample_key, user_key
from wire.outcome import Batches
from wire.sample import SampleRecord, encode_record
from wire.telemetry import Ack, encode_report


def event(name: str) -> bytes:
    return encode_event(Event(name, "ann", "i", "c", "click", 1, 1))


def message(topic: str, value: bytes, **headers: bytes) -> Message:
    return Message(topic, 0, 0, b"ann", value, 5, headers)


def test_what_came_up_twice_is_one_event_delivered_twice() -> None:
    history = History()
    for value in (event("a"), event("a"), event("b"), b"poison"):
        history.note(message(EVENTS, value))
    assert (len(history.acknowledged), history.delivered.total()) == (2, 3)


def test_dead_letters_of_events_are_refused_and_of_duplicates_count_nothing() -> None:
    history = History()
    history.note(message(DEAD_LETTERS, event("a"), reason=b"late"))
    history.note(message(DEAD_LETTERS, event("b"), reason=b"duplicate"))
    history.note(message(DEAD_LETTERS, b"[[[", reason=b"malformed"))
    assert len(history.refused) == 1


def test_a_sample_that_the_pool_refused_is_refused_by_name_and_not_lost() -> None:
    history = History()
    history.note(message(EVENTS, event("a")))
    record = SampleRecord(sample_key("a"), user_key("ann"), item_key("i"), item_key("c"), 1, 0, 1, 1, b"", b"")
    history.note(message(DEAD_LETTERS, encode_record(record), reason=b"window"))
    assert history.refused == set(history.acknowledged) and history.refused_of == {user_key("ann")}


def test_when_a_device_answered_is_when_the_cloud_heard_of_it_as_its_clock_may_be_hours_off() -> None:
    history = History()
    ack = Ack("ann", 1, 1, 7, {}, batch_seq=7, model=NO_MODEL, outcome=Batches.STALE, received_ms=10_800_000)
    history.note(message(TELEMETRY, encode_report(ack)))
    assert history.answers == {("ann", 7): 5}


def test_users_whose_devices_stamp_their_events_anew_are_known() -> None:
    history = History()
    later = encode_event(Event("b", "bob", "i", "c", "click", 1, 7))
    for topic, value in ((BEHAVIOUR, event("a")), (EVENTS, event("a")), (EVENTS, later)):
        history.note(message(topic, value))
    assert not history.restamped_of
    history.note(message(BEHAVIOUR, encode_event(Event("b", "bob", "i", "c", "click", 1, 8))))
    assert history.restamped_of == {user_key("bob")}


def test_the_historian_reads_all_that_there_is_before_it_stops() -> None:
    with EmbeddedKafka() as kafka:
        settings = KafkaSettings(kafka.bootstrap)
        with Historian(settings) as historian:
            producer = CheckedProducer(settings)
            for i in range(500):
                producer.send(BEHAVIOUR, f"u{i % 7}", event(f"e{i}"))
            producer.flush()
    assert len(historian.history.attempted) == 500


def test_poison_is_of_every_kind_and_none_of_it_an_event() -> None:
    history = History()
    for value in poison(50):
        history.note(message(EVENTS, value))
    assert not history.acknowledged
