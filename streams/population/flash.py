"""Reads FLASH's state logs: what each phone said of itself, from which it follows when it may train.

`{"device": {"messages": "2020-01-29 00:00:02\\tbattery_charged_on\\n…", …}}` (`user_behavior_tiny.json`; WWW 2021).
A phone is eligible while it is locked, on WiFi and charging, none of which it is before it says so. A log begins where
its first message does and is repeated for ever; times of day are kept, midnight before that message being 0.
"""

from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any

from streams.population.json_text import json_object, line_of
from streams.population.trace import Trace
from wire.errors import InputError

_MEANS = {
    "screen_lock": ("locked", True),
    "screen_unlock": ("locked", False),
    "battery_charged_on": ("charging", True),
    "battery_charged_off": ("charging", False),
    "wifi": ("wifi", True),
    **dict.fromkeys(("unknown", "2g", "3g", "4g", "5g"), ("wifi", False)),
}
_NOTHING_TO_US = {"screen_on", "screen_off", "battery_low", "battery_okay", "phone_on", "phone_off"}
_DAY_S = 86_400


def read_flash(raw: bytes, where: str) -> dict[str, Trace]:
    """Traces by device; raises `InputError` with `where`, the line, the message and what is wrong."""
    traces: dict[str, Trace] = {}
    for device, record in json_object(raw, where).items():
        try:
            traces[device] = _trace(record)
        except (KeyError, TypeError, ValueError) as error:
            said = f"it has no {error}" if isinstance(error, KeyError) else error
            raise InputError(f"{where}:{line_of(raw, device)}: device {device}: {said}") from error
    return traces


def _trace(record: dict[str, Any]) -> Trace:
    said = sorted(_messages(record["messages"]), key=itemgetter(0))  # some phones wrote them down late
    if not said:
        raise ValueError("it has no messages")
    midnight = said[0][0].replace(hour=0, minute=0, second=0)
    phone, was = {"locked": False, "charging": False, "wifi": False}, False
    switches: list[float] = []
    times_s = [(at - midnight).total_seconds() for at, _ in said]
    for time_s, (_, state) in zip(times_s, said, strict=True):
        if state in _MEANS:
            what, holds = _MEANS[state]
            phone[what] = holds
        if all(phone.values()) != was:
            was = not was
            switches.append(time_s)
    days = times_s[-1] // _DAY_S + 1
    return Trace(False, (*switches, times_s[-1]) if was else tuple(switches), days * _DAY_S)


def _messages(text: str) -> Iterator[tuple[datetime, str]]:
    if not isinstance(text, str):
        raise TypeError("its messages are no text")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        at, _, state = (part.strip().lower() for part in line.partition("\t"))
        if state not in _MEANS and state not in _NOTHING_TO_US and not state.endswith("%"):
            raise ValueError(f"message {number}: {line[:60]!r} is no time, a tab and a state")
        try:
            yield datetime.strptime(at, "%Y-%m-%d %H:%M:%S"), state
        except ValueError as error:
            raise ValueError(f"message {number}: {at[:40]!r} is no time such as 2020-01-29 00:00:02") from error
