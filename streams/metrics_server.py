"""Where a process shows its metrics: http://127.0.0.1:<port>/metrics."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

from models.errors import ConnectionFailed

# Read by every verb; an image sets it to 0.0.0.0 so that Prometheus reaches the container.
HOST_VARIABLE = "CODA_METRICS_HOST"


@contextmanager
def metrics_server(port: int) -> Iterator[None]:
    """Serve this process's metrics on `port` while the block runs; 0 serves nothing.

    Raises `ConnectionFailed` when the port is taken.
    """
    if port == 0:
        yield
        return
    host = os.environ.get(HOST_VARIABLE, "127.0.0.1")
    try:
        server, thread = start_http_server(port, host)
    except OSError as error:
        raise ConnectionFailed(
            f"cannot serve metrics on {host}:{port} ({error.strerror}): choose another --metrics-port, or 0 for none"
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
