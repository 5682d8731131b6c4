"""Where a process shows its metrics: http://127.0.0.1:<port>/metrics."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, start_http_server

from wire.errors import ConnectionFailed, InputError

# Read by every command; an image sets it to 0.0.0.0 so that Prometheus reaches the container.
HOST_VARIABLE = "CODA_METRICS_HOST"


class PortTaken(ConnectionFailed):
    """Another program listens on the port: trying again would not help."""


@contextmanager
def metrics_server(port: int, registry: CollectorRegistry) -> Iterator[None]:
    """Serve `registry` on `port` while the block runs, and what Python and the kernel say of this process; 0: nothing.

    Raises `PortTaken` when the port is in use, `InputError` when there is no such port.
    """
    if not 0 <= port < 65536:
        raise InputError(f"--metrics-port {port} is no port: give one of 1 to 65535, or 0 for none")
    if port == 0:
        yield
        return
    host = os.environ.get(HOST_VARIABLE, "127.0.0.1")
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise PortTaken(
            f"cannot serve metrics on {host}:{port} ({error.strerror}): choose another --metrics-port, or 0 for none"
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def check_ports(first: int, processes: int) -> None:
    """Refuse early what `metrics_server` of one of so many processes would, each on its own port from `first` on."""
    for port in range(first, first + processes) if first else ():
        with metrics_server(port, CollectorRegistry()):
            pass
