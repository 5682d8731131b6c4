"""Ports for servers that start later, which the kernel gives to no client meanwhile."""

import os
import socket
from contextlib import ExitStack

from models.errors import ConnectionFailed

# Linux gives clients ports from 32,768 up, other systems from 49,152. Devices hold one each: with a thousand of them a
# port found free up there is taken by the time the live replay starts, half a minute later, in one demo of thirty.
_FIRST, _AFTER_LAST = 20_000, 32_768
_APART = 16  # processes begin to look this far apart, so that two demos don't find the same ports free


def free_ports(names: tuple[str, ...]) -> dict[str, int]:
    """A port of 127.0.0.1 for each name, all different, on which nobody listens; raises `ConnectionFailed`."""
    begin = _FIRST + _APART * os.getpid() % (_AFTER_LAST - _FIRST)
    found: list[int] = []
    with ExitStack() as opened:
        for port in (*range(begin, _AFTER_LAST), *range(_FIRST, begin)):
            if len(found) == len(names):
                break
            candidate = opened.enter_context(socket.socket())
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    if len(found) < len(names):
        raise ConnectionFailed(f"no {len(names)} ports of 127.0.0.1 from {_FIRST} to {_AFTER_LAST - 1} are free")
    return dict(zip(names, found, strict=True))
