"""Logs: one plain readable line per event on stderr, the same in every command.

Standard output belongs to results (`--json`), so that `coda … | jq` never meets a log line. What logs with
Python's own `logging` comes out in the same form.
"""

import logging
import sys
from typing import TextIO

import structlog

from streams.process.live_line import clear_line
from streams.process.recent import remember

_OURS = ("coda", "device_sim", "index", "models", "monitor", "operators", "streams", "__main__")


class _AboveLiveLine(logging.StreamHandler[TextIO]):
    """On a terminal whose last line is written anew again and again (`streams.process.live_line`)."""

    def emit(self, record: logging.LogRecord) -> None:
        clear_line(self.stream)
        super().emit(record)


def set_up_logging(level: int = logging.INFO) -> None:
    """Send this process's log lines, ours from `level` up, to stderr; colours only on a terminal."""
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        remember,
    ]
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), pad_event_to=0, pad_level=False, exception_formatter=structlog.dev.plain_traceback
    )
    handler = _AboveLiveLine(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
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
