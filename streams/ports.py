"""Ports for servers of this machine that start later or again: the kernel gives none of them to a client meanwhile."""

import random
import socket
from itertools import islice

from wire.errors import ConnectionFailed

# Linux gives clients ports from 32,768 up, other systems from 49,152. A thousand devices hold a thousand of Linux's
# 28,232: a port found free up there would be taken before a demo's last server listens in one demo of some thirty.
# A node of Kafka listens up to 300 above its own port, and stays below them, too.
_NOT_FOR_CLIENTS = range(15_000, 32_400)


def free_ports(count: int) -> list[int]:
    """`count` different ports of 127.0.0.1 on which nobody listens, others each time; raises `ConnectionFailed`."""
    anywhere = random.SystemRandom().sample(_NOT_FOR_CLIENTS, len(_NOT_FOR_CLIENTS))
    found = list(islice(filter(_is_free, anywhere), count))
    if len(found) < count:
        first, last = _NOT_FOR_CLIENTS[0], _NOT_FOR_CLIENTS[-1]
        raise ConnectionFailed(f"127.0.0.1 has no {count} free ports from {first} to {last}: stop what listens there")
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
