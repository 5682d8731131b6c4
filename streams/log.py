"""Logs: one line per event on stderr, plain or JSON, the same in every command.

Standard output belongs to results (`--json`), so that `coda … | jq` never meets a log line. What logs with
Python's own `logging` comes out in the same form.
"""

import logging
import os
import sys
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

import structlog

from streams.process.live_line import clear_line
from streams.process.recent import remember
from wire.decoder import printable
from wire.errors import InputError

SETTING, VARIABLE = "log-format", "CODA_LOG_FORMAT"
_OURS = ("coda", "device_sim", "index", "models", "monitor", "operators", "streams", "__main__")
_Line = structlog.types.EventDict


class LogFormat(StrEnum):
    """For people, or a JSON object a line for whatever gathers logs."""

    PLAIN = "plain"
    JSON = "json"


class _AboveLiveLine(logging.StreamHandler[TextIO]):
    """On a terminal whose last line is written anew again and again (`streams.process.live_line`)."""

    def emit(self, record: logging.LogRecord) -> None:
        clear_line(self.stream)
        super().emit(record)


def take_log_format(tokens: Sequence[str], config: Path) -> tuple[LogFormat, list[str]]:
    """What `--log-format` says, else `CODA_LOG_FORMAT`, else `log-format` at the top of `config`; and all other tokens.

    It is one setting of all commands, whose children inherit it. Raises `InputError` for a format that is none.
    """
    rest, said, where = list(tokens), os.environ.get(VARIABLE, ""), VARIABLE
    if not said:
        said, where = _configured(config), f"{SETTING} in {config.name}"
    flag = f"--{SETTING}"
    for at, token in enumerate(rest):
        if token == flag or token.startswith(f"{flag}="):
            said = token.partition("=")[2] or "".join(rest[at + 1 : at + 2])
            where = flag
            del rest[at : at + (2 if token == flag else 1)]
            break
    if said not in set(LogFormat):
        raise InputError(f"{where} is {said or 'empty'}: it takes {' or '.join(LogFormat)}")
    return LogFormat(said), rest


def set_up_logging(level: int = logging.INFO, form: LogFormat = LogFormat.PLAIN) -> None:
    """Send this process's log lines, ours from `level` up, to stderr; colours only on a terminal."""
    is_json = form == LogFormat.JSON
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if is_json else "%H:%M:%S", utc=is_json),
        remember,
    ]
    handler = _AboveLiveLine(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_as_json() if is_json else _as_words()),
            ],
        )
    )
    # Of what libraries have to say, only warnings.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _configured(config: Path) -> str:
    """What the file says; one that can't be read is told of when the command reads it."""
    with suppress(OSError, ValueError, RecursionError):
        return str(tomllib.loads(config.read_text("utf-8")).get(SETTING, LogFormat.PLAIN))
    return LogFormat.PLAIN


def _as_words() -> list[structlog.types.Processor]:
    """The sentence, which says what a line is `about` already; what strangers say in it is shown and does nothing."""

    def leave_out(_logger: Any, _level: str, line: _Line) -> _Line:
        line.pop("about", None)
        return {name: printable(value, "\n\t") if isinstance(value, str) else value for name, value in line.items()}

    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), pad_event_to=0, pad_level=False, exception_formatter=structlog.dev.plain_traceback
    )
    return [leave_out, renderer]


def _as_json() -> list[structlog.types.Processor]:
    """The sentence, and what it is `about` by name."""

    def spread(_logger: Any, _level: str, line: _Line) -> _Line:
        about = line.pop("about", {})
        return {**line, **about}

    return [spread, structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
