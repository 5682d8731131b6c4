"""The folder where Bytewax keeps the dataflow's state: positions and users."""

from pathlib import Path

from bytewax.recovery import init_db_dir

from models.errors import InputError

# How many files the state is spread over: fixed when it is first made, and the most processes that can share it.
PARTS = 16


def prepare_state(folder: Path) -> None:
    """Make the folder where Bytewax keeps its state, unless it is there; raises `InputError`."""
    if any(folder.glob("part-*.sqlite3")):
        return
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} holds other files and no dataflow state: give another --state")
    folder.mkdir(parents=True, exist_ok=True)
    init_db_dir(folder, PARTS)  # type: ignore[no-untyped-call]
