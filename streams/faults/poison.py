"""Messages that are no events, of every kind that a topic may hold: each has to be refused, and hide nothing."""

KINDS = (
    b"",
    b"null",
    b"not JSON at all",
    b"\xff\xfe\x00\x01",
    b'{"format": "event/1"}',
    b'{"format": "event/99", "event_id": "x"}',
    b'{"format": "event/1", "event_id": "p", "user_id": "u", "item_id": "i", "category_id": "c",'
    b' "event_type": "click", "label": 7, "timestamp": 1}',
    b'{"format": "event/1", "event_id": "p", "user_id": "u", "item_id": "i", "category_id": "c",'
    b' "event_type": "click", "label": 1, "timestamp": NaN}',
    b"[" * 5000,
    b'{"a":' * 2000 + b"1" + b"}" * 2000,
    b'"' + b"x" * 200_000 + b'"',
)


def poison(messages: int) -> list[bytes]:
    """So many of them, every kind in turn.

    >>> len(poison(25))
    25
    """
    return [KINDS[i % len(KINDS)] for i in range(messages)]
