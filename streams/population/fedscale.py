"""Reads FedScale's traces: per client when it became active and inactive, seconds, over and over.

`{"client": {"active": [12788, …], "inactive": [65881, …], "finish_time": 518400, …}}`: it is active from `active[i]`
to `inactive[i]`, and after `finish_time` all begins again. FedScale's own file (`client_behave_trace`) is that as a
pickle; here a pickle may hold numbers, text, lists and dicts, and nothing that runs code.
"""

import io
import pickle
from typing import Any, NoReturn

from streams.population.json_text import json_object, line_of
from streams.population.trace import Trace, ascending, of_intervals
from wire.errors import InputError

_PICKLE = b"\x80"


def read_fedscale(raw: bytes, where: str) -> dict[str, Trace]:
    """Traces by client; raises `InputError` with `where`, the line (of JSON) and what is wrong."""
    clients = _unpickled(raw, where) if raw.startswith(_PICKLE) else json_object(raw, where)
    traces: dict[str, Trace] = {}
    for client, record in clients.items():
        try:
            traces[str(client)] = _trace(record)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            place = where if raw.startswith(_PICKLE) else f"{where}:{line_of(raw, str(client))}"
            said = f"it has no {error}" if isinstance(error, KeyError) else error
            raise InputError(f"{place}: client {client}: {said}") from error
    return traces


def _trace(record: dict[str, Any]) -> Trace:
    active, inactive = (ascending(map(float, record[name])) for name in ("active", "inactive"))
    finish_s = float(record["finish_time"])
    if len(active) != len(inactive):
        raise ValueError(f"it has {len(active)} times in active and {len(inactive)} in inactive")
    intervals = list(zip(active, inactive, strict=True))
    ascending(time_s for interval in intervals for time_s in interval)
    if not finish_s > 0:
        raise ValueError(f"its finish_time is {finish_s:g}")
    return of_intervals(intervals, finish_s)


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it holds a {module}.{name}")


def _unpickled(raw: bytes, where: str) -> dict[Any, Any]:
    try:
        document = _Plain(io.BytesIO(raw)).load()
    except Exception as error:  # an unpickler of damaged bytes raises whatever it stumbles over
        raise InputError(f"{where}: no pickle of plain numbers, text, lists and dicts: {error}") from error
    if not isinstance(document, dict) or not all(isinstance(record, dict) for record in document.values()):
        raise InputError(f"{where}: not a dict with a dict per client")
    return document
