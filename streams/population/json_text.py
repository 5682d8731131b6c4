"""JSON of which one can say where something is: what is wrong with a device names the line that it begins on."""

import json
import re
from typing import Any

from wire.errors import InputError


def json_object(raw: bytes, where: str) -> dict[str, dict[str, Any]]:
    """The object in `raw`, one object per device; raises `InputError` with `where` and the line."""
    try:
        document = json.loads(raw)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}:{error.lineno}: no JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{where}:{line}: no JSON: it is not written in UTF-8") from error
    except RecursionError as error:
        raise InputError(f"{where}:1: no JSON that holds devices: it is nested too deep") from error
    if not isinstance(document, dict):
        raise InputError(f"{where}:1: not an object with one entry per device, but {type(document).__name__}")
    for device, record in document.items():
        if not isinstance(record, dict):
            raise InputError(f"{where}:{line_of(raw, device)}: {device}: not an object, but {type(record).__name__}")
    return document


def line_of(raw: bytes, device: str) -> int:
    """The line on which this device's entry begins; the first one where it can't be found."""
    spelt = b"|".join(re.escape(json.dumps(device, ensure_ascii=ascii_only).encode()) for ascii_only in (True, False))
    found = re.search(rb"(?:%s)\s*:" % spelt, raw)
    return raw.count(b"\n", 0, found.start()) + 1 if found else 1
