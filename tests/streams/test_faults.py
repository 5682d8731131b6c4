"""What the world does wrong, for every command that it can happen to: one clear line, and the right exit code.

Faults of one room alone are tested there: docs/guarantees.md has the list.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from index.pool import Pool
from index.rows import META
from index.spec import PoolSpec
from index.store import FORMAT
from models.artefact import model_to_bytes
from models.cloud_model import random_model
from streams.cli import COMMANDS, make_app, run
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings, probe
from streams.kafka.producer import CheckedProducer
from streams.kafka.topics import MODELS
from streams.mqtt.embedded import EmbeddedMqtt
from streams.training.published import published_model
from tests.index.test_store import raw
from tests.integration.stack import free_port
from tests.streams.logs.world import HEADER
from wire.ids import item_keys
from wire.signing import new_keys, sign_model

ROOT = Path(__file__).parents[2]
LOG = f"{HEADER}\nann,i,c,view,1,1\nbob,i,c,view,0,2\n"
Told = Callable[..., tuple[int, str]]


def settings_of(command: str) -> set[str]:
    """The names of a command's settings; none for one that only has commands of its own."""
    _, apps, _ = make_app(command).parse_commands([command])
    if not apps[-1].default_command:
        return set()
    return {name for argument in apps[-1].assemble_argument_collection() for name in argument.names}


def having(setting: str) -> list[str]:
    """The commands with this setting, without the doctor: it tells of what is not there on standard output."""
    return [command for command in COMMANDS if command != "doctor" and setting in settings_of(command)]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Told:
    """Runs a command line in a folder that holds log.csv; its exit code and what it said on standard error."""
    (tmp_path / "log.csv").write_text(LOG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(probe, "__defaults__", (0.5, *(probe.__defaults__ or ())[1:]))

    def tell(command: str, *flags: str) -> tuple[int, str]:
        code = run([command, *(["log.csv"] if command == "replay" else []), *flags])
        return code, capfd.readouterr().err

    return tell


def one_line(said: str) -> bool:
    return re.match(r"coda[ a-z-]*: ", said) is not None and said.endswith("\n") and said.count("\n") == 1


@pytest.mark.parametrize("command", having("--bootstrap"))
def test_an_unreachable_kafka(command: str, told: Told, tmp_path: Path) -> None:
    code, said = told(command, "--bootstrap", f"127.0.0.1:{free_port()}")
    assert code == 1 and one_line(said)
    assert "no Kafka answers at" in said and "--bootstrap" in said
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"], "nothing is made before Kafka has answered"


@pytest.mark.parametrize("command", having("--bootstrap"))
def test_no_address_of_kafka(command: str, told: Told) -> None:
    code, said = told(command, "--bootstrap", "")
    assert code == 2 and one_line(said) and "HOST:PORT" in said


@pytest.mark.parametrize("command", having("--mqtt"))
def test_an_unreachable_mqtt_broker(command: str, told: Told, kafka: KafkaSettings) -> None:
    reached = ("--bootstrap", kafka.bootstrap) if command in having("--bootstrap") else ()
    code, said = told(command, *reached, "--mqtt", f"127.0.0.1:{free_port()}")
    assert code == 1 and one_line(said)
    assert "no MQTT broker at" in said and "--mqtt" in said


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize("command", having("--metrics-port"))
def test_a_busy_metrics_port(command: str, told: Told, kafka: KafkaSettings, taken_port: int) -> None:
    code, said = told(command, "--bootstrap", kafka.bootstrap, "--metrics-port", str(taken_port))
    assert code == 1 and one_line(said)
    assert "choose another --metrics-port" in said


@pytest.mark.parametrize("port", ["65536", "-1"])
@pytest.mark.parametrize("command", having("--metrics-port"))
def test_a_metrics_port_that_is_none(command: str, port: str, told: Told, kafka: KafkaSettings) -> None:
    code, said = told(command, "--bootstrap", kafka.bootstrap, "--metrics-port", port)
    assert code == 2 and one_line(said)


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("replay", "--position"),
        ("flow", "--pool"),
        ("flow", "--state"),
        ("train-cloud", "--keys"),
        ("train-cloud", "--task"),
        ("tunnel", "--ledger-out"),
        ("fleet", "--state"),
        ("fleet", "--out"),
    ],
)
def test_a_path_that_cannot_be_used(command: str, flag: str, told: Told, kafka: KafkaSettings) -> None:
    with EmbeddedMqtt() as mqtt:
        flags = [
            "--bootstrap",
            kafka.bootstrap,
            *(["--mqtt", mqtt.settings.address] if "--mqtt" in settings_of(command) else []),
        ]
        code, said = told(command, *flags, flag, "log.csv/here")
    assert code in {1, 2}
    assert one_line(said[said.index("coda: ") :]) and "Traceback" not in said
    assert "log.csv" in said


def test_nothing_is_written_over_a_file_that_is_no_state(told: Told, kafka: KafkaSettings) -> None:
    code, said = told("replay", "--bootstrap", kafka.bootstrap, "--position", "log.csv", "--fresh")
    assert code == 2 and one_line(said) and "log.csv is no state of a replay" in said
    assert Path("log.csv").read_text() == LOG


@pytest.mark.parametrize(
    "words",
    [
        ["flow", "--pool-age", "infd"],
        ["flow", "--lateness", "nan"],
        ["train-cloud", "--refresh", "nanh"],
        ["tunnel", "--drain", "-1s"],
        ["replay", "--speed", "nan"],
        ["replay", "--partitions", "0"],
        ["replay", "--max-ahead", "0"],
    ],
)
def test_a_number_that_is_none(words: list[str], told: Told, kafka: KafkaSettings) -> None:
    code, said = told(*words, "--bootstrap", kafka.bootstrap)
    assert code == 2 and one_line(said) and words[1] in said


def spoil(path: Path) -> None:
    Pool.open(path, PoolSpec()).close()
    db = raw(path)
    db[META] = (db[META] or b"").replace(b'"format":%d' % FORMAT, b'"format":99')
    db.close()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_flow_on_a_pool_of_another_version(processes: str, told: Told, kafka: KafkaSettings) -> None:
    for shard in range(int(processes)):
        spoil(Path(f"pool/shard-{shard}-of-{processes}"))
    code, said = told("flow", "--bootstrap", kafka.bootstrap, "--pool", "pool", "--processes", processes)
    assert code == 1 and "has format 99" in said and "--state" in said
    assert said.count("has format") <= int(processes), "it is not tried again"


def test_a_flow_on_a_pool_that_another_one_has_open(told: Told, kafka: KafkaSettings) -> None:
    holds = "import sys, time; from pathlib import Path; from index.pool import Pool; from index.spec import PoolSpec\n"
    holds += "pool = Pool.open(Path(sys.argv[1]), PoolSpec()); print('open', flush=True); time.sleep(100)"
    path = Path("pool/shard-0-of-1").absolute()
    with subprocess.Popen([sys.executable, "-c", holds, str(path)], cwd=ROOT, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        code, said = told("flow", "--bootstrap", kafka.bootstrap, "--pool", "pool")
        other.kill()
    assert code == 1 and one_line(said)
    assert "is open in another process: stop that one" in said


def test_a_flow_with_another_number_of_shards(told: Told, kafka: KafkaSettings) -> None:
    Pool.open(Path("pool/shard-0-of-2"), PoolSpec()).close()
    code, said = told("flow", "--bootstrap", kafka.bootstrap, "--pool", "pool", "--shards", "3")
    assert code == 1 and one_line(said)
    assert "give --shards as before" in said


def test_a_trainer_passes_over_a_damaged_model(kafka: KafkaSettings, capfd: pytest.CaptureFixture[str]) -> None:
    model = random_model(item_keys(["i"]), item_keys(["c"]), seed=0)
    private, public = new_keys()
    damaged = bytearray(model_to_bytes(model))
    damaged[-1] ^= 1
    producer = CheckedProducer(kafka)
    headers = {"coda-trainer": b'{"format":"learned/2","initial_until":1,"positions":{}}'}
    producer.send(MODELS, b"current", sign_model(model_to_bytes(model), private), headers=headers)
    producer.flush()
    producer.send(MODELS, b"current", sign_model(bytes(damaged), private), headers=headers)
    producer.flush()
    found = published_model(KafkaBus(kafka), public)
    assert found is not None and found[0].version == model.version
    said = capfd.readouterr()
    assert "passed over models" in said.out + said.err and "sha256" in said.out + said.err


def test_errors_of_the_system_that_name_no_path_are_our_own(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    def fail(_bootstrap: str, **_: object) -> str:
        raise OSError(9, os.strerror(9))

    monkeypatch.setattr("streams.commands.tunnel.probe", fail)
    with pytest.raises(OSError, match="Bad file descriptor"):
        told("tunnel")


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    def fail(_bootstrap: str, **_: object) -> str:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("streams.commands.tunnel.probe", fail)
    code, said = told("tunnel")
    assert code == 1 and one_line(said) and "No space left" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_within_an_evaluation_ends_it(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    def interrupted(_log: object, _pool: object, _plan: object, progress: Callable[[str, int, int], None]) -> None:
        signal.raise_signal(number)
        progress("predicting", 1, 2)
        pytest.fail("it went on")

    monkeypatch.setattr("streams.commands.evaluate.evaluate", interrupted)
    assert told("evaluate", "log.csv")[0] == 128 + number
