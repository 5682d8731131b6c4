"""The newest warnings of this process, for its status: whoever watches from afar does not see its terminal."""

from collections import deque
from collections.abc import MutableMapping
from typing import Any

_MOST = 3
_CHARACTERS = 200
_GRAVE = frozenset({"warning", "error", "critical"})
_recent: deque[str] = deque(maxlen=_MOST)


def remember(_logger: Any, level: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A step of structlog's: keeps what is grave, and passes every line on."""
    if level in _GRAVE:
        said = f"{line.get('timestamp', '')} {line.get('event', '')}".strip()
        _recent.append(" ".join(said.split())[:_CHARACTERS])
    return line


def recent_warnings() -> tuple[str, ...]:
    """The newest last."""
    return tuple(_recent)
