import signal
import socket
import subprocess
import sys
import time

import pytest

from streams.mqtt.connection import MqttSettings, probe
from streams.mqtt.embedded import EmbeddedMqtt
from wire.errors import ConnectionFailed


def test_it_listens_on_the_loopback_and_is_gone_afterwards() -> None:
    with EmbeddedMqtt() as broker:
        assert broker.settings.host == "127.0.0.1"
        probe(broker.settings)
    with pytest.raises(ConnectionFailed):
        probe(broker.settings)


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConnectionFailed, match=f"127.0.0.1:{port} is taken by another program"):
            EmbeddedMqtt(port).start()


def test_it_survives_ctrl_c_and_ends_with_the_process_that_started_it() -> None:
    code = (
        "import time; from streams.mqtt.embedded import EmbeddedMqtt\n"
        "with EmbeddedMqtt() as broker: print(broker.settings.port, broker._process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        port, pid = map(int, owner.stdout.readline().split())
        subprocess.run(["kill", "-INT", str(pid)], check=True)
        time.sleep(0.3)
        probe(MqttSettings(port=port))
        owner.send_signal(signal.SIGKILL)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            probe(MqttSettings(port=port), timeout_s=1)
        except ConnectionFailed:
            return
        time.sleep(0.05)
    raise AssertionError("the broker outlived its owner")


def test_asked_for_the_process_of_a_broker_that_was_killed_it_says_that_none_runs() -> None:
    with EmbeddedMqtt() as broker:
        broker.kill()
        with pytest.raises(ConnectionFailed, match="no embedded MQTT broker runs"):
            _ = broker.pid
