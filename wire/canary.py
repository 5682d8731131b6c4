"""Canaries: devices without a user, that ask for batches only to see that what they ask for comes back.

A canary goes where every batch goes, through Kafka, the pool's search and MQTT, and is told from a user's by its name
alone. Nothing is learned from one, and it counts nowhere but among canaries.
"""

_PREFIX = "~canary/"


def canary_id(name: str) -> str:
    """The device's name; a user of this name would be taken for a canary.

    >>> is_canary(canary_id("one")), is_canary("ann")
    (True, False)
    """
    return _PREFIX + name


def is_canary(user_id: str) -> bool:
    """Whether that is a canary's device."""
    return user_id.startswith(_PREFIX)
