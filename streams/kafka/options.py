"""How a command is told where Kafka is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from streams.kafka.connection import DEFAULT_BOOTSTRAP, KafkaSettings
from streams.kafka.properties import read_properties


@Parameter(name="*")
@dataclass(frozen=True)
class KafkaOptions:
    """The same flags in every command that uses Kafka."""

    bootstrap: Annotated[str, Parameter(help="Kafka, as host:port.")] = DEFAULT_BOOTSTRAP
    kafka_config: Annotated[
        Path | None,
        Parameter(help="A file of librdkafka properties, one name=value on each line: TLS and SASL."),
    ] = None

    def settings(self) -> KafkaSettings:
        """What clients are made with; raises `InputError` for a file that cannot be used."""
        return KafkaSettings(self.bootstrap, properties=read_properties(self.kafka_config))


LOCAL_KAFKA = KafkaOptions()
