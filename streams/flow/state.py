"""The folder where Bytewax keeps the dataflow's state: positions and users."""

from pathlib import Path

from bytewax.recovery import init_db_dir

from wire.errors import InputError

# Files the state is spread over. At the end of every epoch each is synced to disk in turn, and the dataflow waits:
# produced→pooled p99 at 1,000 events/s and epochs of .5 s was 380 ms with 16 files, 210 with 4, 110 with 1 (2 cores
# that others used too).
PARTS = 1


def prepare_state(folder: Path) -> None:
    """Make the folder where Bytewax keeps its state, unless it is there; raises `InputError`."""
    if any(folder.glob("part-*.sqlite3")):
        return
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} holds other files and no dataflow state: give another --state")
    folder.mkdir(parents=True, exist_ok=True)
    init_db_dir(folder, PARTS)  # type: ignore[no-untyped-call]
