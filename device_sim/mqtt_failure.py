"""Why a connection to an MQTT broker failed or ended: as a metric's label, in words, and whether it may pass.

Brokers say it in many ways, and mosquitto often by closing the connection without a word; what can be told from
that is told here, once for devices and tunnel.
"""

import errno
import socket
import ssl
from typing import Any, NamedTuple

from wire.errors import InputError
from wire.lookup import NameUnanswered

ANSWER_S = 15.0  # from the TCP connection to CONNACK and SUBACK; thousands that come at once take some seconds


class Failure(NamedTuple):
    """`reason` is a metric's label, `text` what a user reads; a `final` one can't pass by waiting."""

    reason: str
    text: str
    final: bool = False

    def ends(self, *, let_in: bool) -> bool:
        """Whether a client gives up for it: not if the broker has `let_in` this client before, and may so again.

        But what waits to be sent and is too large would break the next connection off, too.
        """
        return self.final and (not let_in or self.reason == "too_large")


NO_CONNACK = Failure("no_connack", "something listens there but does not answer as an MQTT 5 broker")
NO_SUBACK = Failure("no_suback", "the broker accepts the connection but does not answer subscriptions")
SHUT = Failure(
    "shut",
    "it closed the connection without an answer: no MQTT 5 broker, one that speaks TLS only, one that does not take "
    "our certificate, or one with as many connections as it takes (mosquitto: max_connections)",
)
LOST = Failure("lost", "the connection ended without a reason")
TAKEN_OVER = Failure("taken_over", "another client connected under the same name")
QUICK = Failure(
    "quick",
    "the connection ended as soon as it was made, without a reason: another client under the same name, "
    "or something the broker does not allow; see its log",
)
QUICK_S = 2.0  # what is quick
QUARREL = Failure(
    "quarrel",
    "devices lose their connections again and again as soon as they are made, as with another fleet under the same "
    "name: stop it, or let fleets publish and subscribe coda/fleets/+ so that they hear of each other; see its log",
    final=True,
)
FEWER = Failure("receive_maximum", "it takes fewer messages at a time than we send, connecting anew with as many")
SILENT = Failure("silent", "it stopped answering")
TLS = Failure("tls", "it speaks TLS, and this client does not: write mqtts:// before its address", final=True)
GARBLED = Failure("garbled", "it answers with what is no MQTT 5")
_RAISE = "raise its limit (mosquitto: message_size_limit, max_packet_size)"

_ENROL = "give --mqtt-credentials that it knows (`coda devices enrol`), or allow this client in its settings"

_SESSION_TAKEN_OVER = 142
# MQTT 5, 2.4: reasons in CONNACK, SUBACK, PUBACK and DISCONNECT, and which can't pass while the broker runs as it does.
_CODES = {
    132: ("version", "it does not speak MQTT 5", True),
    133: ("client_id", "it does not take our client ids", True),
    134: ("not_authorised", f"it does not take our user name and password: {_ENROL}", True),
    135: ("not_authorised", f"it does not let us in (not authorised): {_ENROL}", True),
    136: ("unavailable", "it is not available just now", False),
    137: ("busy", "it is busy", False),
    138: ("banned", "it has banned this client", True),
    139: ("shutdown", "it is shutting down", False),
    140: ("not_authorised", "it asks for another way of authentication", True),
    141: ("keepalive", "it missed our keep-alive", False),
    _SESSION_TAKEN_OVER: (TAKEN_OVER.reason, TAKEN_OVER.text, False),
    143: ("topic", "it does not take our topic filters", True),
    144: ("topic", "it does not take our topics", True),
    147: ("receive_maximum", "we sent more at a time than it takes", False),
    149: ("too_large", f"it does not take packets of that size: {_RAISE}", True),
    150: ("rate", "we send faster than it allows", False),
    151: ("quota", "a quota is used up", False),
    152: ("administrative", "an administrator ended the connection", False),
    154: ("retain", "it keeps no retained messages: allow them (mosquitto: retain_available true)", True),
    155: ("qos", "it takes QoS 0 only: allow QoS 1 (mosquitto: max_qos 1)", True),
    156: ("moved", "it sends us to another server", False),
    157: ("moved", "it has moved to another server: give that one's address", True),
    158: ("shared", "it has no shared subscriptions: allow them", True),
    159: ("rate", "connections come faster than it allows", False),
    161: ("identifiers", "it has no subscription identifiers", True),
    162: ("wildcard", "it has no wildcard subscriptions: allow them", True),
}
_ERRNOS = {
    errno.ECONNREFUSED: ("refused", "connection refused"),
    errno.ECONNRESET: (SHUT.reason, SHUT.text),
    errno.EPIPE: (SHUT.reason, SHUT.text),
    errno.EMFILE: ("files", "this process has as many files open as it may: raise `ulimit -n`, or run fewer devices"),
    errno.ENFILE: ("files", "this machine has as many files open as it may: raise fs.file-max, or run fewer devices"),
    errno.EADDRNOTAVAIL: ("ports", "this machine has no port left for another connection"),
    errno.EHOSTUNREACH: ("unreachable", "no route to host"),
    errno.ENETUNREACH: ("unreachable", "network is unreachable"),
}


def of_error(error: Exception) -> Failure:
    """What an exception of the attempt to connect means."""
    if isinstance(error, NameUnanswered):
        return Failure("dns", str(error))
    if isinstance(error, socket.gaierror | UnicodeError):
        return Failure("dns", "no such host")
    if isinstance(error, InputError | ssl.SSLError):
        return _of_credentials(error)
    if isinstance(error, TimeoutError):
        return Failure("timeout", "it does not answer")
    if isinstance(error, OSError) and error.errno in _ERRNOS:
        return Failure(*_ERRNOS[error.errno])
    return Failure("other", (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower())


def _of_credentials(error: InputError | ssl.SSLError) -> Failure:
    """What keeps us and the broker from knowing who the other is."""
    if isinstance(error, InputError):
        return Failure("credentials", str(error), final=True)
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"its certificate does not verify ({error.verify_message.lower()})"
        return Failure("tls", f"{why}: put who signed it into ca.crt of --mqtt-credentials", final=True)
    why = f"TLS ended ({(error.reason or str(error)).lower().replace('_', ' ')})"
    return Failure("tls", f"{why}: it speaks no TLS there, or does not take our certificate", final=True)


def of_code(code: int) -> Failure:
    """What a reason code of the broker means.

    >>> of_code(137)
    Failure(reason='busy', text='it is busy', final=False)
    """
    return Failure(*_CODES[code]) if code in _CODES else Failure("other", f"reason code {code}")


def of_first_bytes(raw: bytes) -> Failure | None:
    """What the first bytes say that are no CONNACK; None for those of one.

    >>> of_first_bytes(bytes([0x20]))
    >>> of_first_bytes(bytes([0x15, 3, 1])).reason  # a TLS alert
    'tls'
    """
    if not raw:
        return SHUT
    if raw[0] == 0x20:  # followed by its length: 2 in MQTT 3, at least 3 in MQTT 5
        return of_code(132) if raw[1:2] == b"\x02" else None
    return TLS if raw[0] in (0x15, 0x16) else GARBLED


def of_size(nbytes: int, topic: str, largest: int | None = None) -> Failure:
    """A message that is too large, for a broker that takes `largest` bytes or does not say how many."""
    takes = (
        "does not say how large a message it takes and breaks off at"
        if largest is None
        else (f"takes packets of at most {largest} bytes, not")
    )
    return Failure("too_large", f"it {takes} one of {nbytes} bytes on {topic}: {_RAISE}", final=True)


def of_limits(connack: Any, *, wildcard: bool = False, shared: bool = False) -> Failure | None:
    """What a broker that accepted us does not allow though we need it; `connack` are paho's properties.

    QoS 1 and retained messages everybody needs, `wildcard` and `shared` subscriptions some.
    """
    needs = {"MaximumQoS": 155, "RetainAvailable": 154}
    needs |= {"WildcardSubscriptionAvailable": 162} if wildcard else {}
    needs |= {"SharedSubscriptionAvailable": 158} if shared else {}
    for name, code in needs.items():
        if getattr(connack, name, 1) == 0:
            return of_code(code)
    return None
