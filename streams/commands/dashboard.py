"""`coda dashboard`: `coda watch` in a browser."""

import secrets
import socket
import sys

import uvicorn

from streams.dashboard.app import make_app
from streams.dashboard.service import DashboardService
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import probe
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.metrics_server import PortTaken
from streams.settings import AtLeast0
from wire.clock import SystemClock
from wire.errors import InputError

PORT = 8642
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def command(
    *,
    kafka: KafkaOptions = LOCAL_KAFKA,
    host: str = "127.0.0.1",
    port: AtLeast0 = PORT,
    token: str | None = None,
) -> None:
    """Serve a page that shows how fresh everything is, what is stuck, each device, and the arms, until interrupted.

    It finds all processes through Kafka, as `coda watch` does. On 127.0.0.1 it lets in whoever is on this machine;
    elsewhere it asks for a token, which it prints.

    Example

    ```
    coda dashboard --bootstrap 127.0.0.1:9092
    coda dashboard --host 0.0.0.0 --port 8642
    ```

    Args:
        host: The address to serve on; any but this machine's own asks for the token.
        port: The port to serve on; 0 takes a free one.
        token: What whoever opens the page has to bring; made up anew each time, where it is needed.
    """
    settings = kafka.settings()
    wanted = token if token is not None else "" if host in _LOOPBACK else secrets.token_urlsafe(16)
    if not wanted and host not in _LOOPBACK:
        raise InputError("--token is empty: on an address that others reach it has to be something")
    probe(settings.bootstrap, properties=settings.properties)
    with _listening(host, port) as listener, DashboardService(KafkaBus(settings), SystemClock()) as service:
        server = uvicorn.Server(uvicorn.Config("", log_level="warning", access_log=False, timeout_graceful_shutdown=1))
        server.config.app = make_app(service, wanted, ended=lambda: server.should_exit)
        address = f"http://{host}:{listener.getsockname()[1]}/{f'?token={wanted}' if wanted else ''}"
        print(f"dashboard of Kafka {settings.bootstrap}: {address}", file=sys.stderr, flush=True)
        server.run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens; raises `PortTaken`, `InputError`."""
    if port > 65535:
        raise InputError(f"--port {port} is no port: give one of 1 to 65535, or 0 for a free one")
    try:
        return socket.create_server((host, port))
    except socket.gaierror as error:
        raise InputError(f"--host {host} is no address of this machine ({error.strerror})") from error
    except OSError as error:
        raise PortTaken(f"cannot serve on {host}:{port} ({error.strerror}): choose another --port or --host") from error
