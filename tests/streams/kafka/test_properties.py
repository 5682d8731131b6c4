from pathlib import Path

import pytest

from streams.kafka.connection import KafkaSettings, probe
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.properties import read_properties
from wire.errors import ConnectionFailed, InputError


def test_what_the_file_says_reaches_every_client_and_ours_stays_ours(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text(
        "# TLS\n\nsecurity.protocol = SASL_SSL\nsasl.mechanism=PLAIN\nsasl.username=u\nsasl.password=a=b\nclient.id=x\n"
    )
    client = KafkaSettings("kafka:9093", properties=read_properties(file)).client("flow")
    assert client["security.protocol"] == "SASL_SSL" and client["sasl.password"] == "a=b"
    assert client["bootstrap.servers"] == "kafka:9093" and client["client.id"] == "coda-flow"
    assert read_properties(None) == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("security.protocol\n", "line 1 .* is not name=value"),
        ("no.such.thing=1\n", "can't be used: .*no.such.thing"),
        ("security.protocol=TLS\n", "can't be used: .*security.protocol"),
        ("security.protocol=SSL\nssl.ca.location=/nowhere/ca.crt\n", "can't be used: .*ssl.ca.location"),
    ],
)
def test_what_cannot_be_used_is_one_line_at_the_start(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text(text)
    with pytest.raises(InputError, match=why) as refused:
        read_properties(file)
    assert "\n" not in str(refused.value)


def test_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read --kafka-config"):
        read_properties(tmp_path / "nowhere")


def test_tls_at_a_plain_listener_is_said(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("security.protocol=SSL\n")
    with EmbeddedKafka() as kafka, pytest.raises(ConnectionFailed, match="--kafka-config that fits") as refused:
        probe(kafka.bootstrap, 3, read_properties(file))
    assert "\n" not in str(refused.value)
