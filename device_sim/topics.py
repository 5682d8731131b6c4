"""The MQTT topics of the tunnel, the same words on both sides of it."""

from wire.ids import from_topic_part, topic_part

MODEL = "coda/models/current"  # retained
TASK = "coda/tasks/current"  # retained
PACE = "coda/pace/current"  # retained: when devices come back that lose their connection (`wire.pace`)


def candidates(user_id: str) -> str:
    """Down, retained: the device's newest candidate batch."""
    return _device(user_id, "candidates")


def receipts(user_id: str) -> str:
    """Down: which uploaded events Kafka has."""
    return _device(user_id, "receipts")


def events(user_id: str) -> str:
    """Up: the device's own events, one as a JSON object or several as a JSON array (`wire.event.Event`)."""
    return _device(user_id, "events")


def ack(user_id: str) -> str:
    """Up: answers to candidate batches."""
    return _device(user_id, "ack")


def requests(user_id: str) -> str:
    """Up: asks for a fresh candidate batch."""
    return _device(user_id, "requests")


def telemetry(user_id: str) -> str:
    """Up: training reports."""
    return _device(user_id, "telemetry")


def presence(user_id: str) -> str:
    """Up, retained, and the device's last will."""
    return _device(user_id, "presence")


def claims(kind: str, name: str) -> str:
    """Between runs of one name, `kind` fleet or tunnel: who uses it (`wire.claim`)."""
    return f"coda/{kind}s/{topic_part(name)}"


UP = tuple(f"coda/devices/+/{leaf}" for leaf in ("events", "ack", "requests", "telemetry", "presence"))


def device_of(topic: str) -> tuple[str, str]:
    """The user id and the leaf of a device's topic.

    >>> device_of(ack("a/b"))
    ('a/b', 'ack')
    """
    _, _, part, leaf = topic.split("/")
    return from_topic_part(part), leaf


def _device(user_id: str, leaf: str) -> str:
    return f"coda/devices/{topic_part(user_id)}/{leaf}"
