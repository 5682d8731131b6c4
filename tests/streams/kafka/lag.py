"""How far a group is behind, at one look."""

from streams.kafka.connection import KafkaSettings
from streams.kafka.lag import GroupPositions


def lag(bootstrap: str, group: str, topic: str) -> dict[int, int]:
    """`GroupPositions.lag`, by a connection of its own."""
    with GroupPositions(KafkaSettings(bootstrap), group) as positions:
        return positions.lag(topic)
