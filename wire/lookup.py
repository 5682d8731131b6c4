"""Looking up a host's name, with an end: the resolver of a machine may take 40 s over a name server that is silent."""

import errno
import os
import socket
import threading
from concurrent.futures import Future

LOOKUP_S = 5.0
_asked: dict[str, Future[list[str]]] = {}
_lock = threading.Lock()


class NameUnanswered(TimeoutError):
    """No name server answered in time; a `TimeoutError` whose text says what to do."""


def look_up(host: str) -> Future[list[str]]:
    """The addresses of `host`, as they will be known; who asks while the same is being asked gets that answer.

    Fails with an `OSError`, or a `UnicodeError` for what can't be a name.
    """
    with _lock:
        if (asked := _asked.get(host)) is None:
            asked = Future()
            try:
                threading.Thread(target=_ask, args=(host, asked), name="lookup", daemon=True).start()
            except RuntimeError:  # of too many threads: who asks later may have better luck
                asked.set_exception(OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)))
            else:
                _asked[host] = asked
        return asked


def addresses(host: str, timeout_s: float = LOOKUP_S) -> list[str]:
    """The addresses of `host`, IPv4 or IPv6, in the resolver's order.

    Raises `NameUnanswered` after `timeout_s`, or what the look-up failed with.

    >>> addresses("127.0.0.1")
    ['127.0.0.1']
    """
    try:
        return look_up(host).result(timeout_s)
    except NameUnanswered:
        raise
    except TimeoutError as error:
        raise NameUnanswered(unanswered(host, timeout_s)) from error


def unanswered(host: str, timeout_s: float) -> str:
    """What to say of a name that is not looked up in time."""
    return f"no name server says within {timeout_s:g} s where {host} is: mend /etc/resolv.conf, or give an IP address"


def _ask(host: str, asked: Future[list[str]]) -> None:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        asked.set_result([str(address[0]) for *_, address in found])
    except Exception as error:  # whoever waits gets it
        asked.set_exception(error)
    finally:
        with _lock:
            _asked.pop(host, None)
