"""A name that one run at a time may use: two that connect under it would take each other's connections for ever.

MQTT has one session per client id, and not every broker says who took it. So every run claims its name on a topic
that all of that name read. Of two that hear of each other the one that started later gives way (sans-I/O).
"""

from device_sim import topics
from wire.claim import Claim, decode_claim, encode_claim
from wire.errors import ConnectionFailed
from wire.malformed import Malformed

HEARD_S = 0.5  # an earlier run answers a claim sooner than that; until then a new one keeps still
_RENAME = {"fleet": "", "tunnel": ", or give this one another --name"}


class Name:
    """`claim` is this run's; `kind` is what shares the name: `fleet` or `tunnel`.

    >>> old, new = Name("fleet", Claim("coda", "b1", 1)), Name("fleet", Claim("coda", "b2", 2))
    >>> old.hear(new.said), new.hear(new.said)  # whether to say it again
    (True, False)
    """

    def __init__(self, kind: str, claim: Claim) -> None:
        self.kind, self.claim = kind, claim
        self.topic, self.said = topics.claims(kind, claim.name), encode_claim(claim)

    @property
    def unique(self) -> str:
        """A client id that no other run has."""
        return f"{self.claim.name}-{self.claim.boot}"

    def hear(self, raw: bytes) -> bool:
        """Whether someone came who does not know of us; raises `ConnectionFailed` when we are the ones to end."""
        try:
            other = decode_claim(raw)
        except Malformed:
            return False
        if other.boot == self.claim.boot or other.name != self.claim.name:
            return False
        if (other.started_ms, other.boot) < (self.claim.started_ms, self.claim.boot):
            raise ConnectionFailed(
                f"another {self.kind} named {self.claim.name} is connected to this MQTT broker and was there first: "
                f"stop it before this one starts{_RENAME[self.kind]}"
            )
        return True
