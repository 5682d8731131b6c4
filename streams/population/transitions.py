"""Reads traces as text: a line for each device, with its state at the beginning and the times at which that changes.

`name,on|off,seconds,seconds,…`, seconds from the beginning of the recording, ascending. Empty lines and those that
begin with `#` are passed over. After its last change a device stays as it is.
"""

from streams.population.trace import Trace, ascending
from wire.errors import InputError

_STATES = {"on": True, "off": False}


def read_transitions(raw: bytes, where: str) -> dict[str, Trace]:
    """Traces by device; raises `InputError` with `where`, the line and what is wrong in it."""
    traces: dict[str, Trace] = {}
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            text = line.decode().strip()
            if text and not text.startswith("#"):
                device, trace = _read(text)
                if device in traces:
                    raise ValueError(f"{device!r} is there twice")
                traces[device] = trace
        except ValueError as error:
            raise InputError(f"{where}:{number}: {error}; each line is name,on|off,seconds,…") from error
    return traces


def _read(text: str) -> tuple[str, Trace]:
    device, *fields = (part.strip() for part in text.split(","))
    if not device or not fields or fields[0] not in _STATES:
        raise ValueError(f"{text[:60]!r} does not begin with a name and on or off")
    return device, Trace(_STATES[fields[0]], ascending(map(float, fields[1:])))
