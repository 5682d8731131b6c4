"""The accounts of all tunnels together, restarts and crashes included, from what Kafka has."""

from contextlib import closing

from streams.bus import Bus
from streams.kafka.topics import CANDIDATES, TELEMETRY, TUNNEL_GROUP
from streams.tunnel.ledger import Push, Tally, account
from wire.canary import is_canary
from wire.malformed import Malformed
from wire.push_headers import PushHeaders, addressee
from wire.telemetry import Standing, decode_report

_GROUP = "coda-accounting"


def account_for_pushes(bus: Bus, expiry_ms: int, now_ms: int) -> Tally:
    """What became of every batch that the tunnels' group has committed, as far back as Kafka keeps it.

    `expiry_ms` is the tunnels' freshness budget, `now_ms` the wall clock; see `streams.tunnel.ledger.account`.
    """
    return account(_pushes(bus, expiry_ms), _acks(bus), now_ms)


def _pushes(bus: Bus, expiry_ms: int) -> list[Push]:
    with closing(bus.group(TUNNEL_GROUP)) as group:
        behind = group.lag(CANDIDATES)
    done = {p: (first, end - behind[p[1]]) for p, (first, end) in bus.bounds(CANDIDATES).items()}
    pushes = []
    for message in bus.read(_GROUP, done):
        try:
            device, headers = addressee(message.key), PushHeaders.decode(message.headers)
        except Malformed:
            continue  # the tunnel counted it as rejected: it was never pushed
        if not is_canary(device):
            pushes.append(Push(device, headers.seq, headers.matched_ms + expiry_ms))
    return pushes


def _acks(bus: Bus) -> set[tuple[str, int]]:
    """Answers: of an ack that was lost, a later report of the device says."""
    acks = set()
    for message in bus.read(_GROUP, bus.bounds(TELEMETRY)):
        try:
            report = decode_report(message.value)
        except Malformed:
            continue
        if isinstance(report, Standing):
            acks |= {(report.user_id, seq) for seq in report.answers}
    return acks
