"""Logs: one plain readable line per event on stderr, the same in every verb.

Standard output belongs to results (`--json`), so that `coda … | jq` never meets a log line.
"""

import logging
import sys

import structlog


def set_up_logging(level: int = logging.INFO) -> None:
    """Send every structlog line of this process, from `level` up, to stderr; colours only on a terminal."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.processors.StackInfoRenderer(),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                pad_event_to=0,
                pad_level=False,
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
