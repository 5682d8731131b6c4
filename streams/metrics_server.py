"""Where a process shows its metrics: http://127.0.0.1:<port>/metrics."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

from wire.errors import ConnectionFailed, InputError

# Read by every command; an image sets it to 0.0.0.0 so that Prometheus reaches the container.
HOST_VARIABLE = "CODA_METRICS_HOST"


class PortTaken(ConnectionFailed):
    """Another program listens on the port: trying again would not help."""


@contextmanager
def metrics_server(port: int) -> Iterator[None]:
    """Serve this process's metrics on `port` while the block runs; 0 serves nothing.

    Raises `PortTaken` when the port is in use, `InputError` when there is no such port.
    """
    if not 0 <= port < 65536:
        raise InputError(f"--metrics-port {port} is no port: give one of 1 to 65535, or 0 for none")
    if port == 0:
        yield
        return
    host = os.environ.get(HOST_VARIABLE, "127.0.0.1")
    try:
        server, thread = start_http_server(port, host)
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
