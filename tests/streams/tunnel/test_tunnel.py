"""The tunnel between the embedded Kafka and both MQTT brokers, with simple devices on the other end."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from device_sim import topics
from monitor.metrics import Metrics
from streams.cli import run
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import CANDIDATES, DEAD_LETTERS, EVENTS, MODELS, REQUESTS, TASKS, TELEMETRY
from streams.mqtt.connection import MqttSettings
from streams.tunnel.accounting import account_for_pushes
from streams.tunnel.allowance import Rate
from tests.integration.stack import free_port
from tests.streams.mqtt.brokers import KINDS, Embedded
from tests.streams.tunnel.world import PUBLIC, Device, World, batch, live_tunnel, model, now_ms, task, wait_for
from tests.wire.reports import ack, training
from wire.batch import decode_batch
from wire.canary import canary_id
from wire.errors import ConnectionFailed, DeliveryError
from wire.event import Event, encode_event
from wire.push_headers import PushHeaders
from wire.signing import new_keys, open_model, sign_model, sign_task
from wire.task import Task
from wire.telemetry import MatchRequest, Presence, encode_report


def test_a_canary_is_carried_and_is_no_push(world: World) -> None:
    canary = world.device(canary_id("one"))
    with world.tunnel() as tunnel:
        canary.publish(topics.requests(canary.user_id), encode_report(MatchRequest(canary.user_id, "canary", 7)))
        assert world.read(REQUESTS, 1)
        world.send(CANDIDATES, canary.user_id, batch(canary.user_id, 7))
        wait_for(lambda: canary.batches(canary.read()) == [7], "its batch")
        canary.publish(topics.ack(canary.user_id), encode_report(ack(canary.user_id, 7)))
        assert world.read(TELEMETRY, 1)
        world.send(CANDIDATES, canary.user_id, batch(canary.user_id, 8))
        wait_for(lambda: canary.batches(canary.read()) == [8], "the next one, though the one before is answered")
        wait_for(lambda: world.lag() == 0, "the committed offset")
    summary = tunnel.summary()
    assert (summary["pushes"], summary["expired"], summary["requests"], summary["telemetry"]) == (0, 0, 0, 0)
    assert summary["acks"] == {}
    assert account_for_pushes(KafkaBus(world.kafka), 1000, now_ms()).pushes == 0
    assert world.device(canary.user_id).batches() == [], "none is retained"


def test_a_batch_reaches_its_device_and_its_answer_closes_the_push(world: World) -> None:
    ann = world.device("ann/1")  # a name that is no level of a topic as it stands
    with world.tunnel() as tunnel:
        world.send(CANDIDATES, "ann/1", batch("ann/1", 1))
        wait_for(lambda: ann.answer("wrong_model") or tunnel.summary()["acknowledged"] == 1, "an acknowledged push")
        wait_for(lambda: world.lag() == 0, "the committed offset")
    summary = tunnel.summary()
    assert (summary["pushes"], summary["acknowledged"], summary["outstanding"]) == (1, 1, 0)
    assert summary["acks"] == {"wrong_model": 1}  # an answer is an answer; what it said is counted beside
    assert ann.batches() == [1]
    assert account_for_pushes(KafkaBus(world.kafka), 600_000, now_ms()).acknowledged == 1


def test_how_far_devices_have_answered_counts_those_that_are_there(world: World) -> None:
    def left() -> list[int]:
        return [frontier.behind for frontier in tunnel.frontiers]

    ann = world.device("ann")
    with world.tunnel(drain_s=0) as tunnel:
        world.send(CANDIDATES, "gone", batch("gone", 1))
        world.send(CANDIDATES, "ann", batch("ann", 1))
        wait_for(lambda: tunnel.summary()["pushes"] == 2 and left() == [0], "two pushes to nobody")
        ann.publish(topics.presence("ann"), encode_report(Presence("ann", True)))
        wait_for(lambda: left() == [1], "the push to a device that is there")
        (stuck,) = tunnel.frontiers
        wait_for(lambda: ann.answer() or left() == [0], "its answer")
        assert tunnel.frontiers[0].until_ms > stuck.until_ms


def test_a_push_whose_answer_was_lost_is_closed_by_the_next_report_of_its_device(world: World) -> None:
    before = account_for_pushes(KafkaBus(world.kafka), 600_000, now_ms()).acknowledged
    eve = world.device("eve")
    with world.tunnel() as tunnel:
        world.send(CANDIDATES, "eve", batch("eve", 1))
        wait_for(lambda: eve.read() and eve.batches() == [1], "the batch")
        eve.publish(topics.telemetry("eve"), encode_report(training("eve", 1, 1.0, answered_seq=1)))
        wait_for(lambda: tunnel.summary()["acknowledged"] == 1, "an acknowledged push")
        wait_for(lambda: world.lag() == 0, "the committed offset")
    assert tunnel.summary()["acks"] == {"reported": 1}
    assert account_for_pushes(KafkaBus(world.kafka), 600_000, now_ms()).acknowledged == before + 1


def test_only_the_newest_batch_waits_for_an_absent_device_and_every_push_is_accounted_for(world: World) -> None:
    world.send(CANDIDATES, "ann", *(batch("ann", seq) for seq in range(1, 6)))
    world.send(CANDIDATES, "old", batch("old", 1, matched_ms=now_ms() - 700_000))
    with world.tunnel(drain_s=0.2) as tunnel:
        wait_for(lambda: tunnel.summary()["pushes"] == 6, "six pushes")
        wait_for(lambda: world.lag() == 0, "the committed offsets")
        ann, old = world.device("ann"), world.device("old")
        wait_for(ann.read, "the retained batch")
    summary = tunnel.summary()
    assert (ann.batches(), old.batches()) == ([5], [])
    # Four were superseded, one was older than its budget, and one found nobody to answer.
    assert [summary[k] for k in ("acknowledged", "superseded", "expired", "outstanding")] == [0, 4, 2, 0]


def test_models_and_tasks_are_there_before_and_after_the_start(world: World) -> None:
    world.send(MODELS, "current", model(1), model(2))
    with world.tunnel() as tunnel:
        ann = world.device("ann")
        wait_for(lambda: ann.newest(topics.MODEL) == model(2), "the newest model")
        world.send(TASKS, "current", signed := task(1))
        wait_for(lambda: ann.newest(topics.TASK) == signed, "the task")
        world.send(MODELS, "current", model(3))
        wait_for(lambda: ann.newest(topics.MODEL) == model(3), "a new model")
    assert (tunnel.summary()["models"], tunnel.summary()["tasks"]) == (3, 1)


def test_a_model_of_another_lineage_takes_nobodys_place_unless_it_says_so(world: World) -> None:
    other = "00000000000000bb"
    world.send(MODELS, "current", model(2), model(9, other), model(1))
    with world.tunnel() as tunnel:
        ann = world.device("ann")
        wait_for(lambda: ann.newest(topics.MODEL) == model(2), "the newest model of the first lineage")
        world.send(MODELS, "current", model(1, other, ("",)))
        wait_for(lambda: ann.newest(topics.MODEL) == model(1, other, ("",)), "the model that takes its place")
    assert tunnel.summary()["models"] == 2


@pytest.mark.parametrize("poison", [b"", b"{}", bytes(200_000), b"\x91" * 100_000, task(9)[:-1], model(9)[:-1]])
def test_what_is_no_model_or_task_does_not_take_the_place_of_one(world: World, poison: bytes) -> None:
    signed = task(1)
    world.send(MODELS, "current", model(1), poison)
    world.send(TASKS, "current", signed, poison)
    with world.tunnel() as tunnel:
        world.send(MODELS, "current", poison)
        world.send(TASKS, "current", poison)
        world.send(CANDIDATES, "ann", batch("ann", 1))
        ann = world.device("ann")
        wait_for(lambda: ann.read() or ann.batches() == [1], "what comes behind it")
        wait_for(lambda: ann.newest(topics.MODEL) and ann.newest(topics.TASK), "both")
    assert (ann.newest(topics.MODEL), ann.newest(topics.TASK)) == (model(1), signed)
    assert (tunnel.summary()["models"], tunnel.summary()["tasks"]) == (1, 1)


def test_with_the_clouds_key_what_another_signed_does_not_take_the_place_of_what_it_signed(world: World) -> None:
    stranger, _ = new_keys()
    forged = sign_model(open_model(model(9), None), stranger), sign_task(Task(task_version=9), stranger)
    world.send(MODELS, "current", model(1), forged[0])
    world.send(TASKS, "current", signed := task(1), forged[1])
    metrics = Metrics()
    with world.tunnel(metrics=metrics, public=PUBLIC) as tunnel:
        ann = world.device("ann")
        wait_for(lambda: ann.newest(topics.MODEL) and ann.newest(topics.TASK), "both")
        world.send(MODELS, "current", forged[0], model(2))
        wait_for(lambda: ann.newest(topics.MODEL) == model(2), "what comes behind it")
    assert ann.newest(topics.TASK) == signed
    assert (tunnel.summary()["models"], tunnel.summary()["tasks"]) == (2, 1)
    assert all(metrics.value(Metrics.tunnel_rejected, reason=f"unsigned_{kind}") for kind in ("model", "task"))


def test_batches_that_can_t_be_pushed_hold_up_nothing(world: World) -> None:
    good = PushHeaders.of(decode_batch(batch("ann", 1))).encode()
    far = good | {"matched_ms": b"9" * 18, "produced_ms": b"9" * 18}
    with world.tunnel(drain_s=0.2) as tunnel:
        for key in (b"", b"\xff\xfe", b"k" * 300_000):
            world.send_as(CANDIDATES, key, batch("ann", 1), good)
        world.send_as(CANDIDATES, b"bob", b"", good)
        world.send_as(CANDIDATES, b"bob", batch("bob", 1), {f"h{n}": b"x" for n in range(500)})
        world.send_as(CANDIDATES, b"far", b"{", far)  # a broker keeps nothing for longer than 136 years
        world.send(CANDIDATES, "ann", batch("ann", 2))
        ann = world.device("ann")
        wait_for(lambda: ann.read() or ann.batches() == [2], "what comes behind them")
        wait_for(lambda: world.lag() == 0, "the committed offsets")
    assert tunnel.summary()["pushes"] == 2


def test_uploads_reach_kafka_by_user_and_are_receipted(world: World) -> None:
    events = [encode_event(Event(f"e{n}", "ann", "i", "c", "click", 1, n)) for n in range(300)]
    with world.tunnel() as tunnel:
        ann = world.device("ann")
        for raw in events[:200]:
            ann.publish(topics.events("ann"), raw)
        ann.publish(topics.events("ann"), b"[" + b",".join(events[200:]) + b"]")
        ann.publish(topics.events("ann"), b"garbage")
        ann.publish(topics.requests("ann"), encode_report(MatchRequest("ann", "connected", 1)))
        ann.publish(topics.presence("ann"), encode_report(Presence("ann", True)))
        wait_for(lambda: len(ann.receipts()) == 300, "300 receipts")
        arrived = world.read(EVENTS, 300)
        assert [m.value for m in arrived] == events  # one user, one partition, in order
        assert {m.key for m in arrived} == {b"ann"}
        assert world.read(REQUESTS, 1)[0].key == b"ann"
        assert msgspec.json.decode(world.read(TELEMETRY, 1)[0].value) == {
            "format": "presence/1",
            "user_id": "ann",
            "online": True,
        }
        (dead,) = world.read(DEAD_LETTERS, 1)
        assert (dead.value, dead.headers["reason"]) == (b"garbage", b"malformed")
    assert tunnel.summary()["uploads"] == 300
    assert tunnel.summary()["dead_letters"] == {"malformed": 1}


def test_an_mqtt_broker_that_crashes_gets_back_what_devices_still_need(world: World) -> None:
    world.send(MODELS, "current", model(1))
    with world.tunnel(drain_s=0.2) as tunnel:
        world.send(CANDIDATES, "ann", batch("ann", 1))
        wait_for(lambda: tunnel.summary()["pushes"] == 1 and world.lag() == 0, "a confirmed push")
        world.broker.kill()
        world.send(CANDIDATES, "bob", batch("bob", 1))
        wait_for(lambda: tunnel.summary()["pushes"] == 2, "a push while the broker is away")
        world.broker.start()
        ann, bob = world.device("ann"), world.device("bob")
        wait_for(lambda: ann.read() or ann.batches() == [1], "the batch that the broker had lost")
        wait_for(lambda: bob.read() or bob.batches() == [1], "the batch of the outage")
        wait_for(lambda: ann.newest(topics.MODEL) == model(1), "the model")

        def receipted() -> bool:
            # Again and again, as an outbox does: the broker loses what comes before the tunnel listens to it anew.
            bob.publish(topics.events("bob"), encode_event(Event("e", "bob", "i", "c", "click", 1, 1)))
            time.sleep(0.2)
            return bob.receipts() == {"e"}

        wait_for(receipted, "uploads after the crash")
        wait_for(lambda: world.lag() == 0, "the committed offsets")


@contextmanager
def kafka_to_stop() -> Iterator[tuple[KafkaSettings, "subprocess.Popen[str]"]]:
    """A Kafka in a process of its own, which a test may stop and continue."""
    code = (
        "import time; from streams.kafka.embedded import EmbeddedKafka\n"
        "with EmbeddedKafka() as kafka: print(kafka.bootstrap, flush=True); time.sleep(100)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as broker:
        try:
            assert broker.stdout is not None
            kafka = KafkaSettings(broker.stdout.readline().strip())
            ensure_topics(kafka)
            yield kafka, broker
        finally:
            broker.kill()  # stopped, it would never end by itself


def test_a_tunnel_ends_in_time_though_kafka_hangs(tmp_path: Path) -> None:
    with kafka_to_stop() as (kafka, broker), Embedded(tmp_path) as mqtt, capture_logs() as lines:
        tunnel = live_tunnel(kafka, mqtt.settings, drain_s=0.2).__enter__()
        ann = Device(mqtt.settings, "ann")
        broker.send_signal(signal.SIGSTOP)
        ann.publish(topics.events("ann"), encode_event(Event("e", "ann", "i", "c", "click", 1, 1)))
        wait_for(lambda: "Kafka does not take uploads" in str(lines), "an upload that nobody takes")
        began_s = time.monotonic()
        with pytest.raises(DeliveryError, match="has not taken 1 messages"):
            tunnel.__exit__(None, None, None)
        assert time.monotonic() < began_s + 20
        ann.client.close()


def test_a_kafka_that_hangs_is_waited_for(tmp_path: Path) -> None:
    with kafka_to_stop() as (kafka, broker), Embedded(tmp_path) as mqtt:
        with live_tunnel(kafka, mqtt.settings, drain_s=0.2) as tunnel, capture_logs() as lines:
            ann = Device(mqtt.settings, "ann")
            broker.send_signal(signal.SIGSTOP)
            ann.publish(topics.events("ann"), encode_event(Event("e", "ann", "i", "c", "click", 1, 1)))
            wait_for(lambda: "Kafka does not take uploads" in str(lines), "a word about it")
            assert ann.receipts() == set()  # a receipt says that Kafka has it
            broker.send_signal(signal.SIGCONT)
            wait_for(lambda: ann.receipts() == {"e"}, "the receipt")
            ann.client.close()
        assert tunnel.summary()["uploads"] == 1


@pytest.mark.parametrize("world", KINDS[:1], indirect=True)  # tests/integration does it to mosquitto
def test_a_tunnel_that_is_killed_loses_nothing(world: World, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streams.cli", "tunnel", "--bootstrap", world.kafka.bootstrap, "--mqtt"]
    command.append(world.broker.settings.address)
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as first:
        ann = world.device("ann")
        for seq in range(1, 30):
            world.send(CANDIDATES, "ann", batch("ann", seq))
        wait_for(lambda: ann.read() or ann.batches(), "a first batch")
        first.send_signal(signal.SIGKILL)
    world.send(CANDIDATES, "ann", batch("ann", 30))
    with subprocess.Popen(
        [*command, "--json", "--ledger-out", str(tmp_path / "ledger.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as second:
        wait_for(lambda: ann.answer() or ann.batches()[-1:] == [30], "the newest batch", 40)
        wait_for(lambda: world.lag() == 0, "the committed offsets")
        second.send_signal(signal.SIGTERM)
        out, err = second.communicate(timeout=30)
        assert second.returncode == 143, err
        summary = msgspec.json.decode(out)
    assert msgspec.json.decode((tmp_path / "ledger.json").read_bytes()) == summary
    assert summary["outstanding"] == 0
    assert summary["pushes"] == sum(summary[k] for k in ("acknowledged", "superseded", "expired"))
    tally = account_for_pushes(KafkaBus(world.kafka), 600_000, now_ms())
    assert (tally.pushes, tally.outstanding, tally.balanced) == (30, 0, True)


def test_a_batch_that_is_none_is_counted_and_passed_over(world: World) -> None:
    with world.tunnel() as tunnel:
        ann = world.device("ann")
        world.send(CANDIDATES, "ann", b"no batch", batch("ann", 2))
        wait_for(lambda: ann.answer() or tunnel.summary()["acknowledged"] == 1, "the good batch")
        wait_for(lambda: world.lag() == 0, "the committed offsets")


def test_an_mqtt_broker_that_cannot_be_reached_is_one_clear_line() -> None:
    with EmbeddedKafka() as kafka:
        ensure_topics(KafkaSettings(kafka.bootstrap))
        with (
            pytest.raises(ConnectionFailed, match="no MQTT broker at"),
            live_tunnel(KafkaSettings(kafka.bootstrap), MqttSettings(port=free_port())),
        ):
            pass


@pytest.mark.parametrize("flags", [["--expiry", "0s"], ["--drain", "-1s"], ["--mqtt", "no:port"]])
def test_settings_that_make_no_sense_are_refused(flags: list[str]) -> None:
    assert run(["tunnel", *flags]) == 2


def test_of_two_tunnels_of_one_name_the_later_one_ends() -> None:
    with EmbeddedKafka() as kafka, Embedded(Path()) as mqtt:
        settings = KafkaSettings(kafka.bootstrap)
        ensure_topics(settings)
        with live_tunnel(settings, mqtt.settings, drain_s=0) as first:
            with pytest.raises(ConnectionFailed, match=r"another tunnel named tunnel .* another --name"):
                live_tunnel(settings, mqtt.settings).__enter__()
            first.wait(0.5)


def test_what_a_device_sends_beyond_its_rate_is_dropped_and_counted_and_others_are_served(world: World) -> None:
    metrics = Metrics()

    def dropped() -> float:
        return metrics.value(Metrics.tunnel_rejected, reason="rate")

    with world.tunnel(metrics=metrics, rate=Rate(kib_per_s=0.001, burst_kib=520), drain_s=1) as tunnel:
        liar, bob = world.device("liar"), world.device("bob")
        for _ in range(60):
            liar.publish(topics.events("liar"), b"x" * 100_000)
        bob.publish(topics.events("bob"), encode_event(Event("e1", "bob", "i", "c", "view", 1, 1)))
        wait_for(lambda: bob.receipts() == {"e1"}, "a receipt for bob")
        wait_for(lambda: liar.read() or dropped() >= 50, "the liar's messages to be dropped")
    assert tunnel.summary()["over_rate"] == dropped() >= 50
    assert sum(tunnel.summary()["dead_letters"].values()) <= 10, "what is dropped fills no topic"
    assert len(world.read(EVENTS, 1)) == 1
