"""Where a replay stands, in a small file that is either the old one or the new one, never half of one."""

from pathlib import Path

import msgspec

from wire.durable import make_folder, write_durably
from wire.errors import InputError

Position = dict[str, int]


class ReplayState(msgspec.Struct, frozen=True):
    """What a second run needs to go on.

    Everything up to `position` is with Kafka; whatever came after it was produced at `moment_ms` (wall clock) or
    later. `identity` says which replay this is: another log, range or topic must not resume it.
    """

    identity: dict[str, str]
    position: Position
    moment_ms: int
    finished: bool = False


def load_state(path: Path, identity: dict[str, str]) -> ReplayState | None:
    """The state in `path`, None when there is none; raises `InputError` when it is another replay's or damaged."""
    state = read_state(path)
    if state is None:
        return None
    other = next((key for key in identity if state.identity.get(key) != identity[key]), None)
    if other is not None:
        raise InputError(
            f"{path} belongs to a replay with another {other} ({state.identity.get(other)}, not {identity[other]}): "
            "give another --position, or --fresh to begin anew"
        )
    return state


def read_state(path: Path) -> ReplayState | None:
    """The state of whatever replay in `path`, None when there is none; raises `InputError` when it is no such thing."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ReplayState)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no state of a replay ({error}): give another --position, or delete it") from error


def save_state(path: Path, state: ReplayState) -> None:
    """Replace the state in `path`, so that also a crash leaves a whole one."""
    make_folder(path.parent)
    write_durably(path, msgspec.json.encode(state))
