"""What is served to Prometheus: the metrics of this process, and what the kernel and Python say of it."""

import socket
import urllib.request

import pytest

from monitor.metrics import Metrics
from streams.metrics_server import PortTaken, check_ports, metrics_server
from tests.integration.stack import free_port


def test_what_is_counted_is_served_beside_what_the_process_takes() -> None:
    metrics, port = Metrics(), free_port()
    metrics.pooled.inc(3)
    with metrics_server(port, metrics.registry), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        served = answer.read().decode().splitlines()
    names = {line.partition(" ")[0].partition("{")[0] for line in served}
    assert f"{Metrics.pooled.name} 3.0" in served
    assert {
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "python_info",
        "python_gc_objects_collected_total",
    } <= names


def test_a_port_of_any_process_that_is_taken_is_told_before_they_start() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(PortTaken):
            check_ports(taken - 1, 2)
    check_ports(taken, 1)
    check_ports(0, 2)
