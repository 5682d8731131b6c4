"""`coda dlq`: the dead letters, that is what was refused, why, and where it came from."""

from collections import Counter

import msgspec

from streams.bus import Message
from streams.kafka.bounds import bounds, read_between
from streams.kafka.connection import probe
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.kafka.topics import DEAD_LETTERS
from streams.settings import AtLeast0
from streams.times import moment
from wire.decoder import one_line, printable

_EXAMPLE_CHARS = 100


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter as a person reads it: from `source` (a topic, or a file) and, if known, a `place` in it."""

    at: str
    what: str
    reason: str
    detail: str
    source: str
    place: str
    raw: str


def command(
    *,
    last: AtLeast0 = 20,
    reason: str = "",
    full: bool = False,
    kafka: KafkaOptions = LOCAL_KAFKA,
    json: bool = False,
) -> int:
    """Count the dead letters by reason and origin, and print the newest of them.

    Example

    ```
    coda dlq
    coda dlq --reason malformed --last 5 --full
    ```

    Args:
        last: How many of the newest to print.
        reason: Only those refused for this reason, such as malformed or late.
        full: Print all that was kept of each, and not only its beginning.
        json: Print one JSON document instead of lines.
    """
    settings = kafka.settings()
    probe(settings.bootstrap, properties=settings.properties)
    messages = sorted(
        read_between(settings, "coda-dlq", bounds(settings, DEAD_LETTERS)), key=lambda message: message.timestamp_ms
    )
    letters = [letter for letter in map(letter_of, messages) if reason in ("", letter.reason)]
    counts = Counter((letter.what, letter.reason, letter.source) for letter in letters)
    shown = letters[max(len(letters) - last, 0) :]
    if json:
        table = [{"what": w, "reason": r, "from": o, "letters": n} for (w, r, o), n in counts.most_common()]
        print(msgspec.json.encode({"counts": table, "newest": shown}).decode())
        return 0
    print(f"{len(letters):,} dead letters in {DEAD_LETTERS} at {settings.bootstrap}")
    for (what, why, source), number in counts.most_common():
        print(printable(f"  {number:,} × {what}: {why}, from {source}"))
    for letter in shown:
        raw = letter.raw if full else one_line(letter.raw)[:_EXAMPLE_CHARS]
        whose = f"{letter.what} {letter.reason} {letter.source}{letter.place}: {letter.detail}"
        print(printable(f"{letter.at} {whose}\n    {raw}", "\n\t"))
    return 0


def letter_of(message: Message) -> Letter:
    """The dead letter in a message of the topic; what has no such header is said to be unknown."""

    def said(name: str) -> str:
        return message.headers.get(name, b"").decode(errors="replace")

    place = f" line {said('line')}" if said("line") else ""
    if said("partition"):
        place = f"[{said('partition')}]@{said('offset')}"
    return Letter(
        at=moment(message.timestamp_ms),
        what=said("what") or "unknown",
        reason=said("reason") or "unknown",
        detail=said("detail"),
        source=said("source") or "unknown",
        place=place,
        raw=message.value.decode(errors="replace"),
    )
