"""`coda dashboard`: `coda watch` in a browser."""

import secrets
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette

from streams.dashboard.app import make_app
from streams.dashboard.door import LOOPBACK
from streams.dashboard.learned import FleetFolder
from streams.dashboard.service import DashboardService
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import probe
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.metrics_server import PortTaken
from streams.settings import AtLeast0
from wire.clock import SystemClock
from wire.errors import InputError

PORT = 8642


def command(
    run: Path | None = None,
    *,
    kafka: KafkaOptions = LOCAL_KAFKA,
    host: str = "127.0.0.1",
    port: AtLeast0 = PORT,
    token: str | None = None,
    fleet: Path | None = None,
) -> None:
    """Serve a page that shows how fresh everything is, what is stuck, each device, and the arms, until interrupted.

    It finds all processes through Kafka, as `coda watch` does. A run that was recorded is played back, a second per
    second, stopped and stepped. On 127.0.0.1 it lets in whoever is on this machine; elsewhere it asks for a token,
    which it prints.

    Example

    ```
    coda dashboard --bootstrap 127.0.0.1:9092
    coda dashboard --host 0.0.0.0 --port 8642
    coda dashboard --fleet runs/fleet
    coda dashboard runs/20261128-101500
    ```

    Args:
        run: The folder of a run of `coda demo`, `coda chaos` or `coda watch --record`, to play it back.
        host: The address to serve on; any but this machine's own asks for the token.
        port: The port to serve on; 0 takes a free one.
        token: What whoever opens the page has to bring; made up anew each time, where it is needed.
        fleet: The --state of a `coda fleet` on this machine, or the folder of its run: devices' pages say from it
            what each device learned, which the cloud does not know.
    """
    wanted = token if token is not None else "" if host in LOOPBACK else secrets.token_urlsafe(16)
    if not wanted and host not in LOOPBACK:
        raise InputError("--token is empty: on an address that others reach it has to be something")
    if run is not None and fleet is not None:
        raise InputError("a run that is played back has its devices in its own folder: give the run or --fleet")
    devices = FleetFolder(fleet) if fleet is not None else None
    if run is not None:
        from streams.dashboard.played import played  # noqa: PLC0415 - polars, which a live dashboard does not need

        app = played(run, wanted)
        with _listening(host, port) as listener:
            _serve(listener, host, wanted, f"run {run.resolve().name}", lambda _: app)
        return
    settings = kafka.settings()
    probe(settings.bootstrap, properties=settings.properties)
    with _listening(host, port) as listener, DashboardService(KafkaBus(settings), SystemClock()) as service:
        live = partial(make_app, service, wanted, fleet=devices)
        _serve(listener, host, wanted, f"Kafka {settings.bootstrap}", live)


def _serve(
    listener: socket.socket, host: str, token: str, what: str, app: Callable[[Callable[[], bool]], Starlette]
) -> None:
    """Serve the `app`, which is made with a way to ask whether it ends, until interrupted."""
    server = uvicorn.Server(uvicorn.Config("", log_level="warning", access_log=False, timeout_graceful_shutdown=1))
    server.config.app = app(lambda: server.should_exit)
    key = f"?token={quote(token, safe='')}" if token else ""
    address = f"http://{host}:{listener.getsockname()[1]}/{key}"
    print(f"dashboard of {what}: {address}", file=sys.stderr, flush=True)
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
