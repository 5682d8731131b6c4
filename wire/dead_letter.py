"""Dead letters: what was refused, as it came, with the reason and where it came from (Kafka `events.dlq`).

The value is the refused bytes, cut to `MOST_BYTES`, so that no broker's limit can refuse the letter itself; headers
say the rest in UTF-8. The key is a hash of all of it: letters spread over partitions whoever sent them, and the same
one comes to the same place again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from xxhash import xxh3_64_hexdigest

from wire.decoder import one_line
from wire.event import decode_event
from wire.ids import sample_key, user_key
from wire.reason import Reason
from wire.sample import decode_record

FORMAT = "dead-letter/1"
MOST_BYTES = 64 << 10  # a sixteenth of the 1 MB that Kafka takes by default


@dataclass(frozen=True, slots=True)
class Origin:
    """Where bytes came from: a Kafka topic with partition and offset, an MQTT topic, or a file with its line."""

    source: str
    partition: int | None = None
    offset: int | None = None
    line: int | None = None

    def headers(self) -> dict[str, bytes]:
        """What is known of it."""
        numbers = {"partition": self.partition, "offset": self.offset, "line": self.line}
        known = {name: str(number).encode() for name, number in numbers.items() if number is not None}
        return {"source": self.source.encode(errors="replace"), **known}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refusal. `what` names the kind of message: only those of kind `event` count against produced events."""

    what: str
    reason: Reason
    detail: str
    raw: bytes
    origin: Origin

    @property
    def of_event(self) -> bool:
        """Whether an event was refused."""
        return self.what == "event"

    @property
    def value(self) -> bytes:
        """The refused bytes, or the first of them."""
        return self.raw[:MOST_BYTES]

    @property
    def key(self) -> bytes:
        """Spreads letters over partitions."""
        return xxh3_64_hexdigest(repr((self.origin, self.value)).encode()).encode()

    @property
    def headers(self) -> Mapping[str, bytes]:
        """Format, kind, reason, detail, length of the refused bytes, origin."""
        return {
            "format": FORMAT.encode(),
            "what": self.what.encode(),
            "reason": self.reason.encode(),
            "detail": one_line(self.detail).encode(errors="replace"),
            "length": str(len(self.raw)).encode(),
            **self.origin.headers(),
        }


def keys_of(raw: bytes, reason: bytes) -> tuple[int, int]:
    """The sample key and the user key of an event that was refused; raises `Malformed` where its bytes were.

    A pool, which refuses what is older than its window, has the sample alone.
    """
    if reason == Reason.WINDOW.encode():
        record = decode_record(raw)
        return record.sample, record.user
    event = decode_event(raw)
    return sample_key(event.event_id), user_key(event.user_id)
