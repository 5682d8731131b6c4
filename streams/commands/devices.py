"""`coda devices`: credentials and rights of devices at the MQTT broker."""

from datetime import UTC, datetime
from pathlib import Path

from cyclopts import App

from streams.enrolment.enrolment import Enrolment
from streams.logs.data import find_log
from streams.logs.event_log import load_log
from streams.settings import SomeTime
from streams.terminal import say
from streams.times import DAY_MS, Duration
from wire.errors import InputError

app = App(name="devices", help="Credentials and rights of devices at the MQTT broker.")

FOLDER = Path("runs/credentials")


@app.command
def enrol(
    *users: str,
    log: str | None = None,
    folder: Path = FOLDER,
    host: tuple[str, ...] = ("127.0.0.1", "localhost"),
    valid: SomeTime = Duration.parse("365d"),
) -> None:
    """Make credentials of devices, tunnel and fleet, and the access list that keeps each device to its own topics.

    Who has some already keeps them. `scripts/mqtt up --credentials FOLDER` starts mosquitto with all of it.

    Example

    ```
    coda devices enrol ann bob --folder runs/credentials
    ```

    Args:
        users: Users whose devices are enrolled.
        log: A file, or a name from `coda data list`: all its users are enrolled.
        folder: Where all of it goes, made if need be; `--mqtt-credentials` of tunnel and fleet.
        host: A name or address of the broker, for its certificate; once for each.
        valid: How long certificates hold, in whole days.
    """
    days = valid.ms // DAY_MS
    if not days:
        raise InputError(f"--valid is {valid}: give it at least 1d")
    everyone = [*users, *(load_log(find_log(log))["user_id"].unique(maintain_order=True).to_list() if log else [])]
    new = Enrolment(folder, datetime.now(UTC), hosts=host, days=days).add(everyone)
    say(f"{new} devices enrolled, {len(set(everyone)) - new} were already: {folder}")


@app.command
def remove(*users: str, folder: Path = FOLDER) -> None:
    """Take devices' credentials away, as of one that was stolen: void once the broker has started again.

    Example

    ```
    coda devices remove ann --folder runs/credentials
    ```

    Args:
        users: Users whose devices are removed.
        folder: The folder of `coda devices enrol`.
    """
    if not folder.is_dir():
        raise InputError(f"no folder {folder}: `coda devices enrol` makes one")
    Enrolment(folder, datetime.now(UTC), hosts=("localhost",), days=365).remove(users)
    say(f"{len(users)} devices removed: {folder}")
