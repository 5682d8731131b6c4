"""The whole path on Apache Kafka and mosquitto, its parts killed in the middle.

Whatever is killed, `kill -9` each time: no event is lost, none counts twice, every arm predicts every event once,
every push has an outcome, what devices report adds up, and every device ends on the newest batch.
"""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from index.pool import Pool
from models.sample import decode_samples
from models.scores import log_losses
from streams.bus import Message
from streams.kafka.bounds import bounds, read_between
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.topics import CANDIDATES, DEAD_LETTERS, EVENTS, FLEET_GROUP, FLOW_GROUP, SAMPLES, TELEMETRY
from streams.tunnel.accounting import account_for_pushes
from tests.integration.log import EVERY_MS, FIRST_MS, write_log
from tests.integration.stack import Command, Server, wait_for_nothing, wait_until
from tests.streams.kafka.lag import lag
from wire.batch import decode_batch
from wire.event import decode_event
from wire.outcome import Batches, Trainings
from wire.telemetry import Ack, Training, decode_report

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]
USERS, ROWS, INITIAL = 40, 9_000, 0.5
TAIL_S = 50  # how long the second half is streamed, while parts are killed
SPEED = ROWS * (1 - INITIAL) * EVERY_MS / 1000 / TAIL_S


class System:
    """Servers and commands over one run folder."""

    def __init__(self, folder: Path, own: str) -> None:
        self.folder, self.own = folder, own
        self.kafka, self.mqtt = Server("kafka", folder, "--heap", "512m"), Server("mqtt", folder)
        self.log = write_log(folder / "log.csv", USERS, ROWS)
        at, through = ("--bootstrap", self.kafka.address), ("--mqtt", self.mqtt.address)
        trainer = ("--initial-log", str(self.log), "--initial-share", str(INITIAL), "--keys", "keys")
        flow = ("--pool", "pool", "--state", "flow", "--candidates", "40", "--match-every", "10", "--min-users", "1")
        fleet = ("--state", "fleet/state", "--out", "fleet", "--cloud-key", "keys/cloud.pub", "--own", own)
        self.trainer = Command(folder, "train-cloud", "train-cloud", *at, *trainer)
        self.flow = Command(folder, "flow", "flow", *at, *flow)
        self.tunnel = Command(folder, "tunnel", "tunnel", *at, *through)
        self.fleet = Command(folder, "fleet", "fleet", *at, *through, *fleet)
        replay = ("replay", str(self.log), *at, "--via", "kafka" if own == "events" else "devices")
        middle = str(FIRST_MS + round(ROWS * INITIAL) * EVERY_MS)
        self.initial = Command(folder, "replay-initial", *replay, "--until", middle, "--position", "initial.position")
        self.tail = Command(
            folder, "replay-tail", *replay, "--from", middle, "--speed", f"{SPEED:g}", "--position", "tail.position"
        )

    def messages(self, topic: str) -> list[Message]:
        """Everything on a topic."""
        settings = KafkaSettings(self.kafka.address)
        return list(read_between(settings, "test", bounds(settings, topic)))

    def behind(self, group: str) -> int:
        """Events that a group has not processed yet."""
        topic = self.own if group == FLEET_GROUP else EVENTS
        return sum(lag(self.kafka.address, group, topic).values())


@pytest.fixture
def system(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[System]:
    made = System(tmp_path, request.param)
    commands = (made.tail, made.initial, made.fleet, made.tunnel, made.flow, made.trainer)
    try:
        made.kafka.up()
        made.mqtt.up()
        yield made
    finally:
        for command in commands:
            if command.alive:
                command.kill()
        made.mqtt.down()
        made.kafka.down()


@pytest.mark.parametrize("system", ["events", "behaviour"], indirect=True)
def test_nothing_is_lost_and_nothing_counts_twice_whatever_is_killed(system: System) -> None:
    for command in (system.trainer, system.flow, system.tunnel, system.fleet):
        command.start()
    wait_until(lambda: "published the cloud model" in system.trainer.said(), "the first cloud model", 120)
    assert system.initial.start().finish(120) == 0, system.initial.said()
    wait_until(lambda: len(system.messages(SAMPLES)) >= ROWS * INITIAL, "the initial part to be pooled", 120)
    system.tail.start()
    kill_everything_once(system)
    assert system.tail.finish(TAIL_S + 120) == 0, system.tail.said()
    wait_for_nothing(lambda: unsettled(system), 120, every_s=2)
    assert system.fleet.stop() in (0, 130), system.fleet.said()[-2000:]
    before = newest_reports(system)
    system.fleet.start()  # every device says once more what it did
    wait_for_nothing(lambda: unreported(system, before), 120, every_s=2)
    for command in (system.fleet, system.tunnel, system.flow, system.trainer):
        assert command.stop() in (0, 130), command.said()[-2000:]  # 130: ended by Ctrl-C, in good order
    events_are_exact(system)
    predictions_are_exact(system)
    pushes_are_exact(system)
    reports_are_exact(system)
    devices_end_on_the_newest_batch(system)


def kill_everything_once(system: System) -> None:
    """Flow, tunnel, fleet, mosquitto and Kafka, one after the other, while events stream."""
    told: dict[Command, int] = {}
    for command in (system.flow, system.tunnel, system.fleet):
        time.sleep(TAIL_S / 10)
        command.restart()
        told[command] = states_told(command)
    # One that starts while there is no Kafka ends, and so it should.
    wait_until(lambda: all(states_told(command) > before for command, before in told.items()), "all to work again", 60)
    for server in (system.mqtt, system.kafka):
        time.sleep(TAIL_S / 10)
        server.kill()
        server.up()


def states_told(command: Command) -> int:
    """How often a command has told its state, as each does every ten seconds while it works."""
    return command.said().count(f"[info] {command.name}/")


def unsettled(system: System) -> str:
    """What is not processed yet, or has no outcome yet; "" when the system has come to rest."""
    for command in (system.flow, system.tunnel, system.fleet, system.trainer):
        assert command.alive, f"{command.name} ended:\n{command.said()[-2000:]}"
    uploaded = len({decode_event(m.value).event_id for m in system.messages(EVENTS)})
    if uploaded < ROWS:
        return f"{uploaded} of {ROWS} events are in Kafka"
    for group in (FLOW_GROUP, FLEET_GROUP):
        if behind := system.behind(group):
            return f"{group} is {behind} events behind"
    newest, accepted = newest_batches(system), accepted_batches(system)
    waiting = {user: (seq, accepted.get(user)) for user, seq in newest.items() if accepted.get(user, 0) < seq}
    return f"newest and accepted batches differ: {waiting}" if waiting else ""


def unreported(system: System, before: dict[str, Training]) -> str:
    """Which devices have not reported since `before`; "" when all have."""
    newest = newest_reports(system)
    silent = [user for user, report in before.items() if newest[user].sequence == report.sequence]
    return f"no report since the restart from {silent}" if silent else ""


def events_are_exact(system: System) -> None:
    """Every row of the log is in Kafka and in the pool, once; nothing was rejected."""
    names = Counter(decode_event(m.value).event_id for m in system.messages(EVENTS))
    assert len(names) == ROWS
    assert system.messages(DEAD_LETTERS) == []
    samples = decode_samples([m.value for m in system.messages(SAMPLES)])
    assert len(set(samples.sample.tolist())) == ROWS
    with Pool.open(system.folder / "pool" / "shard-0-of-1", read_only=True) as pool:
        assert len(pool) == ROWS


def predictions_are_exact(system: System) -> None:
    """Every arm predicted every event of the second half, once, before anything learned from it."""
    predictions = pl.read_parquet(system.folder / "fleet" / "predictions.parquet")
    assert predictions["event_id"].is_unique().all()
    assert len(predictions) == round(ROWS * (1 - INITIAL))
    arms = predictions.columns[-5:]
    assert arms == ["cloud", "local", "random", "mpda", "coda"]
    assert predictions.select(arms).null_count().sum_horizontal().item() == 0
    assert predictions.select(pl.all_horizontal(pl.col(arms).is_between(0, 1)).all()).item()


def pushes_are_exact(system: System) -> None:
    """Pushes = acknowledged + superseded + expired, and devices trained on what they got."""
    tally = account_for_pushes(KafkaBus(KafkaSettings(system.kafka.address)), 600_000, round(time.time() * 1000))
    assert tally.outstanding == 0
    assert tally.pushes == tally.acknowledged + tally.superseded + tally.expired > 0
    trained = {report.user_id for report in trainings(system) if report.trained_seq > 0}
    assert len(trained) == USERS


def reports_are_exact(system: System) -> None:
    """What each device reported last is what it predicted in all, whatever was lost or sent twice before."""
    newest = newest_reports(system)
    assert {report.boot for report in newest.values()} == {report.boot for report in trainings(system)}, "one life each"
    predictions = pl.read_parquet(system.folder / "fleet" / "predictions.parquet")
    for (user_id,), mine in predictions.group_by("user_id"):
        report = newest[str(user_id)]
        losses = log_losses(mine["label"].to_numpy(), mine["cloud"].to_numpy())
        assert report.events == len(mine)
        assert report.head_log_loss["cloud"] == pytest.approx(losses.sum(), rel=1e-5)
        assert report.trainings[Trainings.ACCEPTED] > 0 and report.batches[Batches.ACCEPTED] > 0


def devices_end_on_the_newest_batch(system: System) -> None:
    """The last batch that the cloud made for a device is one that the device took."""
    assert accepted_batches(system) == newest_batches(system)


def newest_reports(system: System) -> dict[str, Training]:
    ordered = sorted(trainings(system), key=lambda report: (report.boot, report.sequence))
    return {report.user_id: report for report in ordered}


def trainings(system: System) -> list[Training]:
    return [report for report in reports(system) if isinstance(report, Training)]


def newest_batches(system: System) -> dict[str, int]:
    newest: dict[str, int] = {}
    for message in system.messages(CANDIDATES):
        batch = decode_batch(message.value)
        newest[batch.user_id] = max(newest.get(batch.user_id, 0), batch.batch_seq)
    return newest


def accepted_batches(system: System) -> dict[str, int]:
    accepted: dict[str, int] = {}
    for report in reports(system):
        if isinstance(report, Ack) and report.outcome == "accepted":
            accepted[report.user_id] = max(accepted.get(report.user_id, 0), report.batch_seq)
    return accepted


def reports(system: System) -> list[object]:
    return [decode_report(m.value) for m in system.messages(TELEMETRY)]
