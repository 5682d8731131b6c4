"""A file of librdkafka's properties, such as TLS and SASL: `security.protocol=SASL_SSL`, one on each line."""

from pathlib import Path

from confluent_kafka import KafkaException, Producer

from wire.errors import InputError

Properties = tuple[tuple[str, str], ...]


def read_properties(path: Path | None) -> Properties:
    """The properties in a file (none: none); raises `InputError` when it is none, or librdkafka can't use it."""
    if path is None:
        return ()
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read --kafka-config {path}: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        name, equals, value = line.partition("=")
        if line and not line.startswith("#"):
            if not equals or not name.strip():
                raise InputError(f"line {number} of --kafka-config {path} is not name=value")
            found.append((name.strip(), value.strip()))
    _try(path, found)
    return tuple(found)


def _try(path: Path, found: list[tuple[str, str]]) -> None:
    """A client says what it can't use, such as a certificate that is not there."""
    try:
        Producer({"log_level": 0, **dict(found)})
    except (KafkaException, ValueError) as error:
        why = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        raise InputError(f"--kafka-config {path} can't be used: {' '.join(why.split())}") from error
