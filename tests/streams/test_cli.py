"""The command line: fast help, settings in their order, failures in one line with the right exit code."""

import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from streams.cli import COMMANDS, make_app, run

TOY = "train-toy"
LAUNCHER = f"""
import sys
from streams import cli
cli.COMMANDS[{TOY!r}] = ("tests.streams.toy_commands:command", "a toy")
cli.main()
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(COMMANDS, TOY, ("tests.streams.toy_commands:command", "a toy"))
    monkeypatch.chdir(tmp_path)


def launch(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_help_names_every_command_within_a_second_and_loads_none_of_them() -> None:
    code = "import sys; from streams.cli import run; run(['--help']); sys.exit('torch' in sys.modules)"
    started_s = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    took_s = time.perf_counter() - started_s
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in COMMANDS if command != TOY)
    assert took_s < 3, "1 s on a quiet machine; three times that on a busy one"


@pytest.mark.parametrize("command", [v for v in COMMANDS if v != TOY])
def test_every_command_helps_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    own_commands = [name for name in make_app(command)[command] if not name.startswith("-")]
    for words in [[command, own] for own in own_commands] or [[command]]:
        assert run([*words, "--help"]) == 0
        usage, *shown = capsys.readouterr().out.splitlines()
        example = f"coda {' '.join(words)}"
        assert usage.startswith(f"Usage: {example}")
        assert any(line.strip(" │").startswith(example) for line in shown), "it has no example"
        assert any(line.strip() == "Example" for line in shown)


def test_flags_beat_the_commands_variable_beats_the_shared_one_beats_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def seed(*flags: str) -> str:
        assert run([TOY, *flags]) == 0
        return capsys.readouterr().out.split()[1]

    assert seed() == "0"
    Path("coda.toml").write_text(f"[{TOY}]\nseed = 1\n[flow]\nprocesses = 2\n")
    assert seed() == "1"
    monkeypatch.setenv("CODA_SEED", "2")
    assert seed() == "2"
    monkeypatch.setenv("CODA_TRAIN_TOY_SEED", "3")
    assert seed() == "3"
    assert seed("--seed", "4") == "4"


def test_what_many_commands_share_is_set_the_same_ways(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bootstrap(*flags: str) -> str:
        assert run([TOY, *flags]) == 0
        return capsys.readouterr().out.split()[0]

    Path("coda.toml").write_text(f'[{TOY}]\nbootstrap = "a:1"\n')
    assert bootstrap() == "a:1"
    monkeypatch.setenv("CODA_BOOTSTRAP", "b:2")
    assert bootstrap() == "b:2"
    monkeypatch.setenv("CODA_TRAIN_TOY_BOOTSTRAP", "c:3")
    assert bootstrap() == "c:3"
    assert bootstrap("--bootstrap", "d:4") == "d:4"


def test_a_whole_number_is_never_rounded_wherever_it_comes_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*flags: str) -> str:
        assert run([TOY, *flags]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert refused("--seed", "1.5") == "coda: --seed is 1.5: it takes a whole number"
    assert "--seed is 1e3" in refused("--seed", "1e3")
    Path("coda.toml").write_text(f"[{TOY}]\nseed = 2.5\n")
    assert "--seed is 2.5, as" in refused() and "coda.toml" in refused()
    monkeypatch.setenv("CODA_SEED", "3.5")
    assert "CODA_SEED" in refused()


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == metadata.version("coda-streaming")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--fail", "input"], 2, "coda: the log is empty: give one with events"),
        (["--fail", "world"], 1, "coda: no Kafka answers: start it"),
        (["--fail", "ctrl-c"], 130, ""),
        (["--fail", "sigterm"], 143, ""),
        (["--code", "1"], 1, ""),
        (["--seed", "many"], 2, "coda: --seed is many: it takes a whole number"),
        (["--sead", "1"], 2, "coda train-toy: Unknown option: --sead. Did you mean --seed?"),
    ],
)
def test_a_failure_is_one_line_and_its_exit_code(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([TOY, *arguments]) == code
    said = capsys.readouterr().err
    assert said.startswith(words)
    assert len(said.splitlines()) <= 1


def test_our_own_mistake_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run([TOY, "--fail", "bug"])


def test_an_unknown_command_is_answered_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fleat"]) == 2
    assert "did you mean 'fleet'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[flaw]\nseed = 1\n", "[flaw], which is no command"),
        (f"[{TOY}]\nsead = 1\n", 'Unknown option: "[sead]" from'),
        ("[train-toy\n", "coda.toml cannot be read (Expected ']'"),
        ("a = " + "[" * 100_000, "coda.toml cannot be read"),
        ("\0", "coda.toml cannot be read"),
    ],
)
def test_a_mistake_in_the_file_is_named(text: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("coda.toml").write_text(text)
    assert run([TOY]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_without_a_traceback(number: signal.Signals, code: int) -> None:
    with launch(TOY, "--wait") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.send_signal(number)
        assert process.wait(timeout=10) == code
        assert process.stderr.read() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_command_is_loaded_just_ends_it(number: signal.Signals) -> None:
    load = f"import os, time, polars; os.kill(os.getpid(), {number.value}); time.sleep(10)"
    act = f"from streams import cli; cli.run = lambda *_: exec({load!r}); cli.main()"
    done = subprocess.run([sys.executable, "-c", act], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (-number, b"")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    with launch("--help") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.wait(timeout=10)
        assert "Traceback" not in process.stderr.read()


def test_a_folder_or_bytes_in_the_files_place_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("coda.toml").write_bytes(bytes(range(128, 256)))
    assert run([TOY]) == 2
    Path("coda.toml").unlink()
    Path("coda.toml").mkdir()
    assert run([TOY]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and all("coda.toml cannot be read" in line and "mend it" in line for line in said)
