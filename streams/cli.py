"""`coda`: its commands, where their settings come from, and how their failures read.

Commands are named by import path and loaded when asked for, so that `coda --help` costs no torch.
Settings come from flags, then `CODA_COMMAND_FLAG`, then `CODA_FLAG`, then the section `[command]`
of `coda.toml` in the working directory.

Exit codes: 0 done · 1 failed · 2 wrong usage or input · 130 interrupted (Ctrl-C) · 143 told to end (SIGTERM).
"""

import math
import os
import re
import signal
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import NoReturn

from cyclopts import App, ArgumentCollection, CycloptsError, UnknownCommandError
from cyclopts.config import Env, Toml
from rich.console import Console
from rich.text import Text

from streams.terminal import mend_streams
from wire.durable import SAID_BY_DISKS, as_storage_error
from wire.errors import CodaError, InputError

PREFIX = "CODA_"
CONFIG_FILE = "coda.toml"
LOG_FORMAT = "log-format"  # of all commands: `streams.log` reads it
DISTRIBUTION = "coda-streaming"

# name: (where it lives, what it does)
COMMANDS = {
    "demo": ("streams.commands.demo:command", "Everything on this machine, on a real log, with a view and a report."),
    "chaos": ("streams.commands.chaos:command", "Break the real system on purpose, by a scenario, with a verdict."),
    "data": ("streams.commands.data:app", "Event logs: list and get real ones by name, check and convert your own."),
    "replay": ("streams.commands.replay:command", "Replay an event log into Kafka."),
    "score": ("streams.commands.score:command", "Say of each event what a strong global model expected of it."),
    "flow": ("streams.commands.flow:command", "The cloud dataflow: events to pool to candidate batches."),
    "train-cloud": ("streams.commands.train_cloud:command", "The cloud trainer: new cloud model versions."),
    "tunnel": ("streams.commands.tunnel:command", "The tunnel between Kafka and MQTT."),
    "pace": ("streams.commands.pace:command", "Tell devices when to come back, should they lose their connection."),
    "fleet": ("streams.commands.fleet:command", "The simulated devices."),
    "canary": ("streams.commands.canary:command", "A device that asks once a second whether all of it works."),
    "devices": ("streams.commands.devices:app", "Credentials and rights of devices at the MQTT broker."),
    "watch": ("streams.commands.watch:command", "How fresh everything is, what is stuck, and whose fault that is."),
    "dashboard": ("streams.commands.dashboard:command", "How everything is, in a browser."),
    "report": ("streams.commands.report:command", "The report of a run, from its folder."),
    "trace": ("streams.commands.trace:command", "One event from its production to the devices that trained on it."),
    "metrics": ("streams.commands.metrics:command", "What is measured, and what it means."),
    "evaluate": ("streams.commands.evaluate:command", "Compare the arms on a log by test-then-train, with no broker."),
    "combine": ("streams.commands.combine:command", "Several evaluations of one log, with other seeds, as one."),
    "simulate": (
        "streams.commands.simulate:command",
        "The whole system by a virtual clock, and all that can go wrong.",
    ),
    "doctor": ("streams.commands.doctor:command", "Whether all is there that commands need, and what to do where not."),
    "dlq": ("streams.commands.dlq:command", "Dead letters: what was refused, why, and where it came from."),
    "pool": ("streams.commands.pool:app", "Look at, check and rebuild a pool on disk."),
}


class Terminated(BaseException):
    """SIGTERM: ends a command the way Ctrl-C does, whatever it is doing."""


def make_app(asked: str | None = None) -> App:
    """The command line with all commands, none of them loaded yet; the one `asked` for helps in its own words."""
    app = App(
        name="coda",
        help="CoDA streaming: on-device personal models, fed by a pool of fresh samples, as a live system.",
        help_epilogue=f"Settings: flags, `{PREFIX}COMMAND_FLAG`, `{PREFIX}FLAG`, then `[command]` in `{CONFIG_FILE}`. "
        f"Of every command: `--{LOG_FORMAT} json` makes each log line a JSON object.",
        config=[_command_environment, Env(PREFIX, command=False), _check_config, Toml(CONFIG_FILE), _check_whole],
        version=metadata.version(DISTRIBUTION),
        version_flags=["--version"],
        error_console=Console(stderr=True, soft_wrap=True),
        error_formatter=_one_line,
    )
    for name, (path, purpose) in COMMANDS.items():
        app.command(path, name=name, help=None if name == asked else purpose)
    return app


def run(tokens: Sequence[str], begin: Callable[[], None] = lambda: None) -> int:
    """Run one command line and return its exit code; what is our own mistake keeps its traceback.

    `begin` is called when the command is loaded and its settings are understood, just before it runs.
    """
    try:
        command, settings, _ = make_app(tokens[0] if tokens else None).parse_args(list(tokens))
        _check_finite(settings.arguments)
        begin()
        result = command(*settings.args, **settings.kwargs)
    except SystemExit as usage:  # the parser has said what is wrong
        return int(usage.code or 0)
    except CodaError as error:
        return _complain(error)
    except OSError as error:
        if error.filename is None and error.errno not in SAID_BY_DISKS:
            raise
        return _complain(as_storage_error(error))
    except KeyboardInterrupt:
        return 130
    except Terminated:
        return 143
    return result if isinstance(result, int) else 0


def main() -> NoReturn:
    """The console script `coda`."""
    from streams import log  # noqa: PLC0415 - a fifth of a second that `import streams.cli` saves

    # Before numpy and torch load: their threads would fight over the cores that our own processes share.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    # Until the command is loaded a signal just ends us: an exception in the middle of torch's own start would abort it.
    # (A shell without job control starts background commands with SIGINT ignored; we always want to hear it.)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, _end)
    mend_streams()
    try:
        form, tokens = log.take_log_format(sys.argv[1:], Path(CONFIG_FILE))
    except InputError as error:
        sys.exit(_complain(error))
    os.environ[log.VARIABLE] = form
    log.set_up_logging(form=form)
    try:
        code = run(tokens, _listen)
        sys.stdout.flush()
    except BrokenPipeError:  # `coda … | head`: whoever read us has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    sys.exit(code)


def _complain(error: CodaError) -> int:
    """Say what is wrong in one line, and return the exit code."""
    print(f"coda: {error}", file=sys.stderr)  # noqa: T201
    return 2 if isinstance(error, InputError) else 1


def _end(number: int, _frame: FrameType | None) -> None:
    """As SIG_DFL, which polars, when it loads, puts a handler of its own before that lets Ctrl-C go unheard."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _listen() -> None:
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def _command_environment(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """`CODA_TRAIN_CLOUD_SEED`: a command's dash cannot stand in the name of a variable."""
    Env(PREFIX)(app, tuple(name.replace("-", "_") for name in commands), arguments)


def _check_config(_app: App, _commands: tuple[str, ...], _arguments: ArgumentCollection) -> None:
    """Refuse a config file that is none, and a section that no command would ever read."""
    try:
        sections = tomllib.loads(Path(CONFIG_FILE).read_text("utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{CONFIG_FILE} cannot be read ({error}): mend it, or move it away") from error
    strangers = sorted(set(sections) - set(COMMANDS) - {LOG_FORMAT})
    if strangers:
        raise InputError(
            f"{CONFIG_FILE} has [{strangers[0]}], which is no command; name it after one: {', '.join(COMMANDS)}"
        )


def _check_whole(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse 1.5 where a whole number belongs: it would be rounded without a word."""
    for argument in arguments:
        if argument.hint not in (int, int | None) or argument.parameter.converter is not None:
            continue
        for token in argument.tokens:
            if not re.fullmatch(r"[-+]?\d+", token.value.strip()):
                said = "" if token.source == "cli" else f", as {token.keyword} in {token.source} says"
                raise InputError(f"{argument.name} is {token.value}{said}: it takes a whole number")


def _check_finite(settings: Mapping[str, object]) -> None:
    """Refuse `nan` and `inf`, which pass for numbers and slip through most comparisons."""
    for name, value in settings.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"--{name.replace('_', '-')} is {value}: give a finite number")


def _one_line(error: CycloptsError) -> Text:
    chain = " ".join(("coda", *(error.command_chain or ())))
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        # Its own text would load every command just to name them.
        words = f"there is no command {error.unused_tokens[0]!r}{_nearest(error.unused_tokens[0])}"
    else:
        words = str(error)
    return Text(f"{chain}: {' '.join(words.split()).removesuffix('.')}. Help: {chain} --help")


def _nearest(word: str) -> str:
    near = get_close_matches(word, COMMANDS, n=1)
    return f", did you mean {near[0]!r}?" if near else ""


if __name__ == "__main__":
    main()
